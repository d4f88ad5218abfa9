-- +goose Up
-- Lists are sorted by it unless they are asked for otherwise: a page of them
-- must not cost more the more instances there are.
CREATE INDEX instances_created ON instances (created_at, id);
