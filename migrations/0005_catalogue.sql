-- +goose Up
-- The catalogue: where imported images came from, their icons, presets of
-- instances, and the registries that their container images come from.

ALTER TABLE images ADD COLUMN uuid TEXT;                       -- of its file: a later import of the same finds it
ALTER TABLE images ADD COLUMN author TEXT NOT NULL DEFAULT ''; -- with the name, what finds it where there is no uuid
-- Not unique: public files of different images have the same one.
CREATE INDEX images_by_uuid ON images (uuid) WHERE uuid IS NOT NULL;
UPDATE images SET author = COALESCE(json_extract(definition, '$.author'), '');

CREATE TABLE image_icons (
    image_id TEXT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    type     TEXT NOT NULL, -- image/png, image/jpeg, image/webp, image/gif, image/svg+xml
    data     BLOB NOT NULL
) STRICT;

-- Settings under a name, that instances of an image are made with.
CREATE TABLE presets (
    id         TEXT PRIMARY KEY,
    image_id   TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    name       TEXT NOT NULL COLLATE NOCASE,
    settings   TEXT NOT NULL, -- JSON, see controller/instance.Preset
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (image_id, name)
) STRICT;

-- startup is the name of one of the image's start commands; '' is the first.
-- pull and digest are its own; '' are the image's.
ALTER TABLE instances ADD COLUMN startup TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN pull TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN digest TEXT NOT NULL DEFAULT '';

CREATE TABLE registries (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL UNIQUE, -- as container references have it: "registry.example.com:5000"
    username   TEXT NOT NULL,
    password   BLOB NOT NULL, -- sealed, see controller/secret
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
