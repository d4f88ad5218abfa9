PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES(1,0,1,'2026-11-22 06:29:18');
INSERT INTO goose_db_version VALUES(2,1,1,'2026-11-22 06:29:18');
INSERT INTO goose_db_version VALUES(3,2,1,'2026-11-22 12:27:13');
INSERT INTO goose_db_version VALUES(4,3,1,'2026-11-22 15:21:47');
INSERT INTO goose_db_version VALUES(5,4,1,'2026-10-18 09:12:44');
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL COLLATE NOCASE UNIQUE,
    email         TEXT NOT NULL COLLATE NOCASE UNIQUE,
    password_hash TEXT NOT NULL, -- argon2id, PHC string
    admin         INTEGER NOT NULL DEFAULT 0,
    verified      INTEGER NOT NULL DEFAULT 0,
    disabled      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
, role_id TEXT REFERENCES roles (id) ON DELETE SET NULL, locale TEXT NOT NULL DEFAULT '', max_instances INTEGER, max_memory_mib INTEGER, max_nano_cpus INTEGER, max_disk_mib INTEGER) STRICT;
INSERT INTO users VALUES('07e9f19d-ac14-4dcc-ba29-333e64923db3','admin','admin@localhost.localdomain','$argon2id$v=19$m=19456,t=2,p=1$tAzeQtjg+bsV6mOCJNvnkw$tVzPSaoaeIUO+cOeDuDpPHHqSFn5ICBIZ6UTclVFJE8',1,1,0,1795328958694,1795328958694,NULL,'',NULL,NULL,NULL,NULL);
INSERT INTO users VALUES('92b992d0-4a9e-4858-965b-54700b03b453','anna','anna@example.org','$argon2id$v=19$m=19456,t=2,p=1$6lfW9asmiH6Ql/gTswReNg$VKkbEQVdU/SfiWHbuaXPIYBAoDW06dhMDp8GIJquFZs',0,0,0,1795328960667,1795328960667,NULL,'en',5,8192,4000000000,51200);
INSERT INTO users VALUES('5b0b0c1e-52f7-4f29-8e0f-6b1b7a6c0e77','bob','bob@example.com','$argon2id$v=19$m=19456,t=2,p=1$6lfW9asmiH6Ql/gTswReNg$VKkbEQVdU/SfiWHbuaXPIYBAoDW06dhMDp8GIJquFZs',0,1,0,1795340000010,1795340000010,'3f0c7a52-7d7e-4f0b-a8d5-0c2e6f6d9a11','de',NULL,NULL,NULL,NULL);
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the key
    hint         TEXT NOT NULL,        -- its first characters, to tell keys apart
    scopes       TEXT NOT NULL,        -- comma-separated: read, write, admin
    dialect      TEXT NOT NULL,        -- of the classic API: documented, v0.3
    rate_limit   INTEGER,              -- calls a minute; 0 none; NULL the default
    expires_at   INTEGER,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL
, addresses TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO api_keys VALUES('b141f361-6b4d-4e72-8f75-e4513cfe4562','07e9f19d-ac14-4dcc-ba29-333e64923db3','first key',X'0f268fd03c3d0b0b5f6620f95068800a7a8eb6ffab061f7e7530eb162065c554','a-ke','admin','documented',NULL,NULL,1795328986554,1795328958659,'["192.0.2.7/32"]');
CREATE TABLE idempotent_answers (
    key_id     TEXT NOT NULL, -- of the API key, or 'local'
    idem_key   TEXT NOT NULL,
    request    BLOB NOT NULL, -- SHA-256 of method, path and body
    status     INTEGER,       -- NULL while the first call is under way
    body       BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, idem_key)
) STRICT, WITHOUT ROWID;
INSERT INTO idempotent_answers VALUES('b141f361-6b4d-4e72-8f75-e4513cfe4562','again',X'86cfa8afa80f41228349efc15918e82206f3151697586fa487f956cdbc1316c2',201,X'7b2273756363657373223a747275652c2264617461223a7b226e6f6465223a7b226964223a2230386331633564652d333064652d343434382d393537652d656534626230356231323561222c226e616d65223a226265726c696e2d31222c227374617465223a22756e636f6e66696775726564222c2274616773223a5b226575222c22737364225d2c2261646472657373223a223139322e302e322e3130222c22706f7274223a383434332c2262696e645f61646472657373223a22302e302e302e30222c227075626c69635f686f7374223a223139322e302e322e3130222c2270726f636573736f72223a22222c226d656d6f7279223a383139322c226d656d6f72795f75736564223a302c226d656d6f72795f666163746f72223a312c226469736b223a34303936302c226469736b5f75736564223a302c226469736b5f666163746f72223a312c22696e7374616e636573223a302c22656e67696e65223a7b22726561636861626c65223a66616c73657d2c22637265617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a222c22757064617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a227d2c22656e726f6c6d656e74223a7b226b65795f6964223a2264356339346232322d363330632d343135382d623664362d373663303933623135336461222c22657870697265735f6174223a22323032362d31312d32325430373a32393a32302e3637335a227d7d7d',1795328960673);
INSERT INTO idempotent_answers VALUES('b141f361-6b4d-4e72-8f75-e4513cfe4562','golden-14497',X'86cfa8afa80f41228349efc15918e82206f3151697586fa487f956cdbc1316c2',201,X'7b2273756363657373223a747275652c2264617461223a7b226e6f6465223a7b226964223a2230386331633564652d333064652d343434382d393537652d656534626230356231323561222c226e616d65223a226265726c696e2d31222c227374617465223a22756e636f6e66696775726564222c2274616773223a5b226575222c22737364225d2c2261646472657373223a223139322e302e322e3130222c22706f7274223a383434332c2262696e645f61646472657373223a22302e302e302e30222c227075626c69635f686f7374223a223139322e302e322e3130222c2270726f636573736f72223a22222c226d656d6f7279223a383139322c226d656d6f72795f75736564223a302c226d656d6f72795f666163746f72223a312c226469736b223a34303936302c226469736b5f75736564223a302c226469736b5f666163746f72223a312c22696e7374616e636573223a302c22656e67696e65223a7b22726561636861626c65223a66616c73657d2c22637265617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a222c22757064617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a227d2c22656e726f6c6d656e74223a7b226b65795f6964223a2264356339346232322d363330632d343135382d623664362d373663303933623135336461222c22657870697265735f6174223a22323032362d31312d32325430373a32393a32302e3637335a227d7d7d',1795328960673);
INSERT INTO idempotent_answers VALUES('b141f361-6b4d-4e72-8f75-e4513cfe4562','golden-31440',X'faf44db11a45ac25de8767d25d5595128a68df357281e735e6062b6728ee224e',201,X'7b2273756363657373223a747275652c2264617461223a7b226964223a2239326239393264302d346139652d343835382d393635622d353437303062303362343533222c22757365726e616d65223a22616e6e61222c22656d61696c223a22616e6e61406578616d706c652e6f7267222c2261646d696e223a66616c73652c227665726966696564223a66616c73652c2264697361626c6564223a66616c73652c22637265617465645f6174223a22323032362d31312d32325430363a32393a32302e3636375a222c22757064617465645f6174223a22323032362d31312d32325430363a32393a32302e3636375a227d7d',1795328960644);
INSERT INTO idempotent_answers VALUES('local','again',X'86cfa8afa80f41228349efc15918e82206f3151697586fa487f956cdbc1316c2',201,X'7b2273756363657373223a747275652c2264617461223a7b226e6f6465223a7b226964223a2230386331633564652d333064652d343434382d393537652d656534626230356231323561222c226e616d65223a226265726c696e2d31222c227374617465223a22756e636f6e66696775726564222c2274616773223a5b226575222c22737364225d2c2261646472657373223a223139322e302e322e3130222c22706f7274223a383434332c2262696e645f61646472657373223a22302e302e302e30222c227075626c69635f686f7374223a223139322e302e322e3130222c2270726f636573736f72223a22222c226d656d6f7279223a383139322c226d656d6f72795f75736564223a302c226d656d6f72795f666163746f72223a312c226469736b223a34303936302c226469736b5f75736564223a302c226469736b5f666163746f72223a312c22696e7374616e636573223a302c22656e67696e65223a7b22726561636861626c65223a66616c73657d2c22637265617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a222c22757064617465645f6174223a22323032362d31312d32325430363a32393a32302e3637335a227d2c22656e726f6c6d656e74223a7b226b65795f6964223a2264356339346232322d363330632d343135382d623664362d373663303933623135336461222c22657870697265735f6174223a22323032362d31312d32325430373a32393a32302e3637335a227d7d7d',1795328960673);
CREATE TABLE images (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE,
    reference   TEXT NOT NULL,  -- the first of its references
    definition  TEXT NOT NULL,  -- JSON, see controller/image.Definition
    created_seq INTEGER NOT NULL UNIQUE, -- the lowest answers for a shared reference
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO images VALUES('48800793-37a6-4655-9c29-d83105fba094','Demo','berth/demo:1','{"description":"A small web page and a console that echoes. Needs no registry: every node has it.","author_name":"Berth","references":["berth/demo:1"],"stop_command":"stop","ready_line":"ready on port","volume":"/app/data","variables":[{"name":"GREETING","type":"text","default":"Hello from Berth","description":"What the page says"}]}',1,1795328958694,1795328958694);
INSERT INTO images VALUES('409e3f3d-4620-4aca-9df1-77ac9a70c7cb','nginx','nginx:stable','{"description":"Web server. Put the site''s files into the volume.","author_name":"Berth","references":["nginx:stable","nginx:stable-alpine"],"stop_command":"^SIGQUIT","ready_line":"start worker processes","volume":"/usr/share/nginx/html"}',2,1795328958695,1795328958695);
INSERT INTO images VALUES('3b0a6fb5-1030-4afb-8822-effff0c0f1c1','Redis','redis:7','{"description":"Key-value store, written to disk each second.","author_name":"Berth","references":["redis:7","redis:7-alpine"],"command_line":"redis-server --appendonly yes --requirepass {{REDIS_PASSWORD}}","ready_line":"Ready to accept connections","volume":"/data","variables":[{"name":"REDIS_PASSWORD","type":"text","required":true,"description":"What clients log in with"}]}',3,1795328958695,1795328958695);
INSERT INTO images VALUES('e2e5d156-b671-45bd-a0df-7af2e5813e5c','PostgreSQL','postgres:17','{"description":"Relational database.","author_name":"Berth","references":["postgres:17","postgres:16"],"env":["PGDATA=/var/lib/postgresql/data/pgdata"],"stop_command":"^SIGINT","stop_grace_seconds":60,"ready_line":"database system is ready to accept connections","volume":"/var/lib/postgresql/data","variables":[{"name":"POSTGRES_PASSWORD","type":"text","required":true,"description":"Of the database''s superuser"},{"name":"POSTGRES_DB","type":"text","default":"app","description":"The first database"}]}',4,1795328958695,1795328958695);
INSERT INTO images VALUES('81b92266-d02e-4b82-a75f-ec41c60b4c83','Minecraft Java','itzg/minecraft-server:latest','{"description":"Minecraft server of any version and type.","author_name":"Berth","references":["itzg/minecraft-server:latest","itzg/minecraft-server:java21"],"stop_command":"stop","stop_grace_seconds":60,"ready_line":"Done (","features":["eula"],"volume":"/data","variables":[{"name":"EULA","type":"text","required":true,"description":"TRUE: you agree to the game''s licence"},{"name":"VERSION","type":"text","default":"LATEST","description":"Of the game"},{"name":"TYPE","type":"text","default":"VANILLA","description":"VANILLA, PAPER, FABRIC, …"},{"name":"MEMORY","type":"text","default":"1G","description":"Java''s heap: leave a quarter of the instance''s memory free"}]}',5,1795328958695,1795328958695);
CREATE TABLE image_references (
    reference TEXT NOT NULL,
    image_id  TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    PRIMARY KEY (reference, image_id)
) STRICT, WITHOUT ROWID;
INSERT INTO image_references VALUES('berth/demo:1','48800793-37a6-4655-9c29-d83105fba094',0);
INSERT INTO image_references VALUES('itzg/minecraft-server:java21','81b92266-d02e-4b82-a75f-ec41c60b4c83',1);
INSERT INTO image_references VALUES('itzg/minecraft-server:latest','81b92266-d02e-4b82-a75f-ec41c60b4c83',0);
INSERT INTO image_references VALUES('nginx:stable','409e3f3d-4620-4aca-9df1-77ac9a70c7cb',0);
INSERT INTO image_references VALUES('nginx:stable-alpine','409e3f3d-4620-4aca-9df1-77ac9a70c7cb',1);
INSERT INTO image_references VALUES('postgres:16','e2e5d156-b671-45bd-a0df-7af2e5813e5c',1);
INSERT INTO image_references VALUES('postgres:17','e2e5d156-b671-45bd-a0df-7af2e5813e5c',0);
INSERT INTO image_references VALUES('redis:7','3b0a6fb5-1030-4afb-8822-effff0c0f1c1',0);
INSERT INTO image_references VALUES('redis:7-alpine','3b0a6fb5-1030-4afb-8822-effff0c0f1c1',1);
CREATE TABLE nodes (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL COLLATE NOCASE UNIQUE,
    tags           TEXT NOT NULL, -- JSON array of text
    address        TEXT NOT NULL, -- where the controller dials the agent
    port           INTEGER NOT NULL,
    bind_address   TEXT NOT NULL, -- where instances' ports are bound
    public_host    TEXT NOT NULL, -- what players are told; '' is the address
    processor      TEXT NOT NULL, -- free text
    memory_mib     INTEGER NOT NULL,
    disk_mib       INTEGER NOT NULL,
    memory_factor  REAL NOT NULL DEFAULT 1, -- 1 is no overcommitment
    disk_factor    REAL NOT NULL DEFAULT 1,
    certificate    TEXT NOT NULL DEFAULT '', -- serial of the one that is let in; '' before the enrolment
    enrolled_at    INTEGER,
    revoked_at     INTEGER,
    hello          TEXT NOT NULL DEFAULT '{}', -- JSON, the last wire.Hello
    last_seen_at   INTEGER,
    event_epoch    TEXT NOT NULL DEFAULT '',
    event_seq      INTEGER NOT NULL DEFAULT 0, -- the last event that took effect
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
, connection TEXT NOT NULL DEFAULT 'dial' CHECK (connection IN ('dial', 'tunnel')), maintenance INTEGER NOT NULL DEFAULT 0, cpu_factor REAL NOT NULL DEFAULT 0, memory_reserve_mib INTEGER NOT NULL DEFAULT 0, disk_reserve_mib INTEGER NOT NULL DEFAULT 0, next_certificate TEXT NOT NULL DEFAULT '', certificate_ends_at INTEGER, announced TEXT NOT NULL DEFAULT '' CHECK (announced IN ('', 'online', 'offline'))) STRICT;
INSERT INTO nodes VALUES('08c1c5de-30de-4448-957e-ee4bb05b125a','berlin-1','["eu","ssd"]','192.0.2.10',8443,'0.0.0.0','','',8192,40960,1.0,1.0,'4a11223344556677889900aabbccddee',1795329020673,NULL,'{"node":"08c1c5de-30de-4448-957e-ee4bb05b125a","wire":1,"release":"0.1.0","epoch":"0b8a5c1e-95b1-4cf3-8a8e-3c1d1d5f7a10","last_seq":41,"engine":{"reachable":true,"name":"docker","version":"20.10.24","os":"linux","kernel":"6.1.0","arch":"amd64","cores":8,"memory_bytes":16777216000,"storage_bytes":100000000000}}',1795329050673,'0b8a5c1e-95b1-4cf3-8a8e-3c1d1d5f7a10',41,1795328960673,1795328960673,'dial',0,0.0,0,0,'',NULL,'');
INSERT INTO nodes VALUES('4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','berlin-2','[]','192.0.2.11',8443,'0.0.0.0','','',8192,81920,1.0,1.0,'00ab',1795329020673,NULL,'{}',NULL,'',0,1795328960679,1795328960679,'dial',0,0.0,0,0,'',NULL,'');
CREATE TABLE enrolment_keys (
    id         TEXT PRIMARY KEY,
    node_id    TEXT REFERENCES nodes (id) ON DELETE CASCADE, -- NULL: a join key
    name       TEXT NOT NULL,
    secret     BLOB NOT NULL, -- sealed with the controller's own key
    tags       TEXT NOT NULL, -- JSON; for the nodes that a join key makes
    uses_left  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO enrolment_keys VALUES('d5c94b22-630c-4158-b6d6-76c093b153da','08c1c5de-30de-4448-957e-ee4bb05b125a','',X'016a7ae56c0e42e0a688da78831f31201bf5ff6f1c7e975647b8ce4b5cb98dc70caf6d93c09c84a4faf6a453fd6614aa9d0d9e0d845f6de1459b1162268c85d1e386750854d146625c','[]',0,1795332560673,1795328960673);
INSERT INTO enrolment_keys VALUES('0dcc3467-4a78-4747-b592-fad62f8f91f9','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','',X'01bdfd96930a542cf04a258b08a80cd8e3cfff27eb94a9e8530f412c9916216081432e38553e46118df3fd32681217a3adcc4ac50cfcbfe263b3b04a2b586f83f43665a8f21d98d11d','[]',1,1795332560679,1795328960679);
INSERT INTO enrolment_keys VALUES('972a9de4-c1ba-4fd0-bdf4-78c91318f005',NULL,'rack 4',X'01d1f7d4f89fe0ab492314876c10f3b47e7a0532ffe623012e43e3d0158cda71c6104b78bfc4f04fe6bd3c77abc61c9297dc1663bb56142299b96a6db1c9b7e40c99107fb8df4b0fc3','[]',3,1797920960683,1795328960683);
CREATE TABLE enrolments (
    key_id     TEXT NOT NULL REFERENCES enrolment_keys (id) ON DELETE CASCADE,
    public_key BLOB NOT NULL, -- SHA-256 of it
    node_id    TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    serial     TEXT NOT NULL,
    PRIMARY KEY (key_id, public_key)
) STRICT, WITHOUT ROWID;
INSERT INTO enrolments VALUES('d5c94b22-630c-4158-b6d6-76c093b153da',X'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff','08c1c5de-30de-4448-957e-ee4bb05b125a','4a11223344556677889900aabbccddee');
CREATE TABLE instances (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    owner_id       TEXT NOT NULL REFERENCES users (id),
    node_id        TEXT NOT NULL REFERENCES nodes (id),
    image_id       TEXT NOT NULL REFERENCES images (id),
    reference      TEXT NOT NULL,
    memory_mib     INTEGER NOT NULL,
    nano_cpus      INTEGER NOT NULL,
    disk_mib       INTEGER NOT NULL,
    variables      TEXT NOT NULL, -- JSON object of text
    spec           TEXT NOT NULL, -- JSON, the wire.Spec of this generation: what the node is told
    generation     INTEGER NOT NULL,
    power          TEXT NOT NULL CHECK (power IN ('running', 'stopped')),
    suspended      INTEGER NOT NULL DEFAULT 0,
    suspend_reason TEXT NOT NULL DEFAULT '',
    phase          TEXT NOT NULL CHECK (phase IN ('installing', 'ready', 'failed', 'deleting')),
    actual         TEXT NOT NULL CHECK (actual IN ('unknown', 'starting', 'running', 'stopping', 'stopped', 'crashed')),
    failure        TEXT, -- JSON problem
    container_id   TEXT NOT NULL DEFAULT '',
    observed       TEXT NOT NULL DEFAULT '{}', -- JSON, the last wire.State
    observed_generation INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
, drift TEXT NOT NULL DEFAULT 'repair' CHECK (drift IN ('repair', 'report')), crash TEXT NOT NULL DEFAULT '{}') STRICT;
INSERT INTO instances VALUES('749fd4e7','lobby','92b992d0-4a9e-4858-965b-54700b03b453','08c1c5de-30de-4448-957e-ee4bb05b125a','48800793-37a6-4655-9c29-d83105fba094','berth/demo:1',512,500000000,2048,'null','{"instance":"749fd4e7","generation":1,"image":{"reference":"berth/demo:1"},"env":["GREETING=Hello from Berth","PRIMARY_PORT=8080"],"limits":{"memory_mib":512,"nano_cpus":500000000,"disk_mib":2048,"pids":0},"ports":[{"ip":"0.0.0.0","host":25565,"container":8080,"primary":true}],"volume":"/app/data","tty":true,"stop":{"command":"stop","grace_seconds":10},"install":{},"power":{"want":"running","order":1},"suspended":false}',1,'running',0,'','ready','running',NULL,'5f0c1d2e3a4b','{"phase":"ready","actual":"running","converged":true,"container":"5f0c1d2e3a4b"}',1,1795328960860,1795328960860,'repair','{}');
INSERT INTO instances VALUES('7480a2b9','survival','92b992d0-4a9e-4858-965b-54700b03b453','08c1c5de-30de-4448-957e-ee4bb05b125a','409e3f3d-4620-4aca-9df1-77ac9a70c7cb','nginx:stable',1024,1000000000,4096,'null','{"instance":"7480a2b9","generation":1,"image":{"reference":"nginx:stable"},"env":["PRIMARY_PORT=80"],"limits":{"memory_mib":1024,"nano_cpus":1000000000,"disk_mib":4096,"pids":0},"ports":[{"ip":"0.0.0.0","host":25566,"container":80,"primary":true}],"volume":"/usr/share/nginx/html","tty":true,"stop":{"signal":"SIGQUIT","grace_seconds":10},"install":{},"power":{"want":"running","order":1},"suspended":false}',1,'running',0,'','failed','unknown','{"code":"CONFLICT","message":"the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again"}','','{"phase":"","actual":"","converged":false}',0,1795328986434,1795360912380,'repair','{}');
INSERT INTO instances VALUES('ba359709','web','92b992d0-4a9e-4858-965b-54700b03b453','08c1c5de-30de-4448-957e-ee4bb05b125a','409e3f3d-4620-4aca-9df1-77ac9a70c7cb','nginx:stable',256,250000000,1024,'null','{"instance":"ba359709","generation":3,"image":{"reference":"nginx:stable"},"env":["PRIMARY_PORT=80"],"limits":{"memory_mib":256,"nano_cpus":250000000,"disk_mib":1024,"pids":0},"ports":[{"ip":"0.0.0.0","host":25567,"container":80,"primary":true}],"volume":"/usr/share/nginx/html","tty":true,"stop":{"signal":"SIGQUIT","grace_seconds":10},"install":{},"power":{"want":"stopped","order":2},"suspended":true,"hold":true}',3,'stopped',1,'unpaid','failed','unknown','{"code":"CONFLICT","message":"the job did not end within its 2h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again"}','','{"phase":"","actual":"","converged":false}',0,1795328986439,1795350438828,'repair','{}');
INSERT INTO instances VALUES('049133bc','arena','92b992d0-4a9e-4858-965b-54700b03b453','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','409e3f3d-4620-4aca-9df1-77ac9a70c7cb','nginx:stable',768,2000000000,3072,'null','{"instance":"049133bc","generation":1,"image":{"reference":"nginx:stable"},"env":["PRIMARY_PORT=80"],"limits":{"memory_mib":768,"nano_cpus":2000000000,"disk_mib":3072,"pids":0},"ports":[{"ip":"0.0.0.0","host":25565,"container":80,"primary":true}],"volume":"/usr/share/nginx/html","tty":true,"stop":{"signal":"SIGQUIT","grace_seconds":10},"install":{},"power":{"want":"running","order":1},"suspended":false}',1,'running',0,'','failed','unknown','{"code":"CONFLICT","message":"the image can''t be pulled"}','','{"phase":"","actual":"","converged":false}',0,1795328986444,1795328986444,'repair','{"limit":3}');
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals VALUES('instances',4);
CREATE TABLE allocations (
    id             TEXT PRIMARY KEY,
    node_id        TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    ip             TEXT NOT NULL,
    port           INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    pooled         INTEGER NOT NULL, -- 1: stays when its instance goes; 0: was made for the instance
    instance_id    TEXT REFERENCES instances (id),
    container_port INTEGER,
    is_primary     INTEGER NOT NULL DEFAULT 0,
    position       INTEGER NOT NULL DEFAULT 0, -- within the instance
    created_at     INTEGER NOT NULL,
    UNIQUE (node_id, port, ip)
) STRICT;
INSERT INTO allocations VALUES('d7cf59a3-e11a-4fbb-ab9b-dcbd31bed73f','08c1c5de-30de-4448-957e-ee4bb05b125a','0.0.0.0',25565,0,'749fd4e7',8080,1,0,1795328960860);
INSERT INTO allocations VALUES('f3a62350-3a8a-47df-ab93-0a54a58d7c35','08c1c5de-30de-4448-957e-ee4bb05b125a','192.0.2.10',25570,1,NULL,NULL,0,0,1795328986377);
INSERT INTO allocations VALUES('b70c112d-8b9b-4da8-bdbb-453561b4afe1','08c1c5de-30de-4448-957e-ee4bb05b125a','192.0.2.10',25571,1,NULL,NULL,0,0,1795328986377);
INSERT INTO allocations VALUES('82503444-067f-46d1-879b-3386c7a57d59','08c1c5de-30de-4448-957e-ee4bb05b125a','0.0.0.0',25566,0,'7480a2b9',80,1,0,1795328986434);
INSERT INTO allocations VALUES('adf051bf-9d0b-4ecd-a33e-b2b0a402e8ed','08c1c5de-30de-4448-957e-ee4bb05b125a','0.0.0.0',25567,0,'ba359709',80,1,0,1795328986440);
INSERT INTO allocations VALUES('a3d852ca-8938-47bd-af02-dbda1268c0b3','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','0.0.0.0',25565,0,'049133bc',80,1,0,1795328986444);
INSERT INTO allocations VALUES('a8505a6e-aa57-46cd-bff9-f0523d9be45e','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','0.0.0.0',25566,0,'749fd4e7',8080,1,0,1795350470749);
CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    instance_id TEXT, -- no reference: a job outlives its instance
    node_id     TEXT,
    owner_id    TEXT, -- who besides admins may see it
    actor       TEXT NOT NULL, -- who asked: JSON, see controller/access.Actor
    input       TEXT NOT NULL, -- JSON
    state       TEXT NOT NULL CHECK (state IN ('queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    handed      INTEGER NOT NULL DEFAULT 0, -- running, and ended by an event from outside
    step        TEXT NOT NULL DEFAULT '',
    percent     INTEGER NOT NULL DEFAULT -1,
    message     TEXT NOT NULL DEFAULT '',
    failure     TEXT, -- JSON problem
    attempt     INTEGER NOT NULL DEFAULT 0,
    run_at      INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    retry_of    TEXT,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER
, lease_until INTEGER, waiting_since INTEGER, memory TEXT NOT NULL DEFAULT '{}', beside INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO jobs VALUES('cf90398a-4686-4655-bb6c-08a6c52e6997','instance.deploy','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":1}','succeeded',0,'',100,'done',NULL,0,1795328990866,1795350560860,NULL,1795328960860,1795328960861,1795328964860,NULL,NULL,'{}',1);
INSERT INTO jobs VALUES('206b12fd-ae88-4844-81f1-df6468350f2d','instance.deploy','7480a2b9','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":1}','failed',0,'',-1,'the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again','{"code":"CONFLICT","message":"the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again"}',0,1795360937380,1795350586434,NULL,1795328986434,1795328986435,1795360912379,NULL,NULL,'{}',0);
INSERT INTO jobs VALUES('03a8e1fb-e27d-4071-9427-db46bc0ff41f','instance.deploy','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":1}','cancelled',0,'',-1,'cancelled','{"code":"CONFLICT","message":"the job was cancelled"}',0,1795328996440,1795350586440,NULL,1795328986440,1795328986440,1795328986549,NULL,NULL,'{}',0);
INSERT INTO jobs VALUES('89585a2c-5109-426a-93f6-e42d80d9341a','instance.deploy','049133bc','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":1}','failed',0,'',-1,'the image can''t be pulled','{"code":"CONFLICT","message":"the image can''t be pulled"}',0,1795328996445,1795350586444,NULL,1795328986444,1795328986444,1795328995444,NULL,NULL,'{}',0);
INSERT INTO jobs VALUES('192f5f76-30a0-43a1-a0d9-cd340ca0599e','instance.sync','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":2}','cancelled',0,'',-1,'cancelled','{"code":"CONFLICT","message":"the instance was suspended"}',0,1795328996550,1795336186549,NULL,1795328986549,1795328986550,1795328986554,NULL,NULL,'{}',0);
INSERT INTO jobs VALUES('867a74c5-640e-4d43-b6d0-e4412fd91065','instance.suspend','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"generation":3}','failed',0,'',-1,'the job did not end within its 2h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again','{"code":"CONFLICT","message":"the job did not end within its 2h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again"}',0,1795350443829,1795336186555,NULL,1795328986555,1795328986555,1795350438827,NULL,NULL,'{}',0);
INSERT INTO jobs VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026','instance.move','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','92b992d0-4a9e-4858-965b-54700b03b453','{"via":"local","username":"local"}','{"node":"4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6","reassign":true}','waiting',0,'',-1,'node berlin-2 is offline: the controller is connecting to it for the first time since its start',NULL,0,1795360937379,1795436870748,NULL,1795350470748,1795350470751,NULL,NULL,1795350470753,'{}',0);
CREATE TABLE job_lines (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    line   TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO job_lines VALUES('03a8e1fb-e27d-4071-9427-db46bc0ff41f',1,1795328986440,'node 08c1c5de-30de-4448-957e-ee4bb05b125a is offline: it is not enrolled, or its certificate was revoked');
INSERT INTO job_lines VALUES('03a8e1fb-e27d-4071-9427-db46bc0ff41f',2,1795328986549,'cancelled: cancelled');
INSERT INTO job_lines VALUES('192f5f76-30a0-43a1-a0d9-cd340ca0599e',1,1795328986550,'node 08c1c5de-30de-4448-957e-ee4bb05b125a is offline: it is not enrolled, or its certificate was revoked');
INSERT INTO job_lines VALUES('192f5f76-30a0-43a1-a0d9-cd340ca0599e',2,1795328986554,'cancelled: cancelled');
INSERT INTO job_lines VALUES('206b12fd-ae88-4844-81f1-df6468350f2d',1,1795328986435,'node 08c1c5de-30de-4448-957e-ee4bb05b125a is offline: it is not enrolled, or its certificate was revoked');
INSERT INTO job_lines VALUES('206b12fd-ae88-4844-81f1-df6468350f2d',2,1795350433829,'node berlin-1 is offline: the controller is connecting to it for the first time since its start');
INSERT INTO job_lines VALUES('206b12fd-ae88-4844-81f1-df6468350f2d',3,1795360912379,'failed: the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again');
INSERT INTO job_lines VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',1,1795350470751,'task reserve begins');
INSERT INTO job_lines VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',2,1795350470752,'task reserve is done');
INSERT INTO job_lines VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',3,1795350470753,'task copy begins');
INSERT INTO job_lines VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',4,1795350470753,'node berlin-2 is offline: the controller is connecting to it for the first time since its start');
INSERT INTO job_lines VALUES('867a74c5-640e-4d43-b6d0-e4412fd91065',1,1795328986555,'node 08c1c5de-30de-4448-957e-ee4bb05b125a is offline: it is not enrolled, or its certificate was revoked');
INSERT INTO job_lines VALUES('867a74c5-640e-4d43-b6d0-e4412fd91065',2,1795350433829,'node berlin-1 is offline: the controller is connecting to it for the first time since its start');
INSERT INTO job_lines VALUES('867a74c5-640e-4d43-b6d0-e4412fd91065',3,1795350438827,'failed: the job did not end within its 2h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again');
INSERT INTO job_lines VALUES('89585a2c-5109-426a-93f6-e42d80d9341a',1,1795328986445,'node 4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6 is offline: it is not enrolled, or its certificate was revoked');
INSERT INTO job_lines VALUES('cf90398a-4686-4655-bb6c-08a6c52e6997',1,1795328960862,'node 08c1c5de-30de-4448-957e-ee4bb05b125a is offline: it is not enrolled, or its certificate was revoked');
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    type        TEXT NOT NULL, -- 'instance.suspended'
    owner_id    TEXT,          -- who besides admins may see it
    instance_id TEXT,
    node_id     TEXT,
    job_id      TEXT,
    subject_id  TEXT,          -- of the user, key, image, allocation it is about
    actor       TEXT NOT NULL, -- JSON
    data        TEXT NOT NULL  -- JSON
, actor_id TEXT GENERATED ALWAYS AS (json_extract(actor, '$.user')) VIRTUAL, via TEXT GENERATED ALWAYS AS (json_extract(actor, '$.via')) VIRTUAL, thing TEXT GENERATED ALWAYS AS (substr(type, 1, instr(type, '.') - 1)) VIRTUAL) STRICT;
INSERT INTO events VALUES(1,1795328958694,'user.created','07e9f19d-ac14-4dcc-ba29-333e64923db3',NULL,NULL,NULL,'07e9f19d-ac14-4dcc-ba29-333e64923db3','{"via":"system"}','{"admin":true,"username":"admin"}');
INSERT INTO events VALUES(2,1795328958694,'key.created','07e9f19d-ac14-4dcc-ba29-333e64923db3',NULL,NULL,NULL,'b141f361-6b4d-4e72-8f75-e4513cfe4562','{"via":"system"}','{"name":"first key","scopes":["admin"]}');
INSERT INTO events VALUES(3,1795328958695,'image.created',NULL,NULL,NULL,NULL,'48800793-37a6-4655-9c29-d83105fba094','{"via":"system"}','{"name":"Demo"}');
INSERT INTO events VALUES(4,1795328958695,'image.created',NULL,NULL,NULL,NULL,'409e3f3d-4620-4aca-9df1-77ac9a70c7cb','{"via":"system"}','{"name":"nginx"}');
INSERT INTO events VALUES(5,1795328958695,'image.created',NULL,NULL,NULL,NULL,'3b0a6fb5-1030-4afb-8822-effff0c0f1c1','{"via":"system"}','{"name":"Redis"}');
INSERT INTO events VALUES(6,1795328958695,'image.created',NULL,NULL,NULL,NULL,'e2e5d156-b671-45bd-a0df-7af2e5813e5c','{"via":"system"}','{"name":"PostgreSQL"}');
INSERT INTO events VALUES(7,1795328958695,'image.created',NULL,NULL,NULL,NULL,'81b92266-d02e-4b82-a75f-ec41c60b4c83','{"via":"system"}','{"name":"Minecraft Java"}');
INSERT INTO events VALUES(8,1795328960667,'user.created','92b992d0-4a9e-4858-965b-54700b03b453',NULL,NULL,NULL,'92b992d0-4a9e-4858-965b-54700b03b453','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"admin":false,"username":"anna"}');
INSERT INTO events VALUES(9,1795328960673,'node.created',NULL,NULL,'08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"name":"berlin-1"}');
INSERT INTO events VALUES(10,1795328960679,'node.created',NULL,NULL,'4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"name":"berlin-2"}');
INSERT INTO events VALUES(11,1795328960683,'join_key.created',NULL,NULL,NULL,NULL,'972a9de4-c1ba-4fd0-bdf4-78c91318f005','{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"name":"rack 4","uses":3}');
INSERT INTO events VALUES(12,1795328960860,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','cf90398a-4686-4655-bb6c-08a6c52e6997',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.deploy"}');
INSERT INTO events VALUES(13,1795328960860,'instance.created','92b992d0-4a9e-4858-965b-54700b03b453','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"image":"berth/demo:1","job":"cf90398a-4686-4655-bb6c-08a6c52e6997","name":"lobby"}');
INSERT INTO events VALUES(14,1795328986377,'allocation.added',NULL,NULL,'08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"ip":"192.0.2.10","made":2,"ports":["25570-25571"]}');
INSERT INTO events VALUES(15,1795328986434,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','7480a2b9','08c1c5de-30de-4448-957e-ee4bb05b125a','206b12fd-ae88-4844-81f1-df6468350f2d',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.deploy"}');
INSERT INTO events VALUES(16,1795328986434,'instance.created','92b992d0-4a9e-4858-965b-54700b03b453','7480a2b9','08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"image":"nginx:stable","job":"206b12fd-ae88-4844-81f1-df6468350f2d","name":"survival"}');
INSERT INTO events VALUES(17,1795328986440,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','03a8e1fb-e27d-4071-9427-db46bc0ff41f',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.deploy"}');
INSERT INTO events VALUES(18,1795328986440,'instance.created','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"image":"nginx:stable","job":"03a8e1fb-e27d-4071-9427-db46bc0ff41f","name":"web"}');
INSERT INTO events VALUES(19,1795328986444,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','049133bc','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','89585a2c-5109-426a-93f6-e42d80d9341a',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.deploy"}');
INSERT INTO events VALUES(20,1795328986444,'instance.created','92b992d0-4a9e-4858-965b-54700b03b453','049133bc','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"image":"nginx:stable","job":"89585a2c-5109-426a-93f6-e42d80d9341a","name":"arena"}');
INSERT INTO events VALUES(21,1795328986549,'job.cancelled','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','03a8e1fb-e27d-4071-9427-db46bc0ff41f',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"failure":"the job was cancelled","kind":"instance.deploy"}');
INSERT INTO events VALUES(22,1795328986549,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','192f5f76-30a0-43a1-a0d9-cd340ca0599e',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.sync"}');
INSERT INTO events VALUES(23,1795328986554,'job.cancelled','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','192f5f76-30a0-43a1-a0d9-cd340ca0599e',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"failure":"the instance was suspended","kind":"instance.sync"}');
INSERT INTO events VALUES(24,1795328986555,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','867a74c5-640e-4d43-b6d0-e4412fd91065',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"kind":"instance.suspend"}');
INSERT INTO events VALUES(25,1795328986555,'instance.suspended','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"job":"867a74c5-640e-4d43-b6d0-e4412fd91065","reason":"unpaid"}');
INSERT INTO events VALUES(26,1795350438828,'job.failed','92b992d0-4a9e-4858-965b-54700b03b453','ba359709','08c1c5de-30de-4448-957e-ee4bb05b125a','867a74c5-640e-4d43-b6d0-e4412fd91065',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"failure":"the job did not end within its 2h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again","kind":"instance.suspend"}');
INSERT INTO events VALUES(27,1795350470749,'job.queued','92b992d0-4a9e-4858-965b-54700b03b453','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','286bc0ff-5d26-456c-9443-f5d96fcb5026',NULL,'{"via":"local","username":"local"}','{"kind":"instance.move"}');
INSERT INTO events VALUES(28,1795350470750,'instance.move_ordered','92b992d0-4a9e-4858-965b-54700b03b453','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','286bc0ff-5d26-456c-9443-f5d96fcb5026',NULL,'{"via":"local","username":"local"}','{"from":"08c1c5de-30de-4448-957e-ee4bb05b125a","job":"286bc0ff-5d26-456c-9443-f5d96fcb5026","to":"4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6"}');
INSERT INTO events VALUES(29,1795360912380,'job.failed','92b992d0-4a9e-4858-965b-54700b03b453','7480a2b9','08c1c5de-30de-4448-957e-ee4bb05b125a','206b12fd-ae88-4844-81f1-df6468350f2d',NULL,'{"via":"key","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","key":"b141f361-6b4d-4e72-8f75-e4513cfe4562","address":"127.0.0.1"}','{"failure":"the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again","kind":"instance.deploy"}');
INSERT INTO events VALUES(30,1795360912380,'instance.failed','92b992d0-4a9e-4858-965b-54700b03b453','7480a2b9','08c1c5de-30de-4448-957e-ee4bb05b125a',NULL,NULL,'{"via":"system"}','{"reason":"the job did not end within its 6h0m0s (last: node berlin-1 is offline: the controller is connecting to it for the first time since its start); try it again"}');
INSERT INTO events VALUES(31,1795340000010,'user.created',NULL,NULL,NULL,NULL,NULL,'{"via":"session","user":"07e9f19d-ac14-4dcc-ba29-333e64923db3","username":"admin","address":"192.0.2.33"}','{"username":"bob","admin":false}');
INSERT INTO events VALUES(32,1795340000020,'subuser.added',NULL,NULL,NULL,NULL,NULL,'{"via":"session","user":"92b992d0-4a9e-4858-965b-54700b03b453","username":"anna","address":"192.0.2.33"}','{"username":"bob"}');
CREATE TABLE job_tasks (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'cancelled', 'skipped')),
    started_at  INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',0,'reserve','done',1795350470751,1795350470752);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',1,'copy','running',1795350470753,NULL);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',2,'stop','pending',NULL,NULL);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',3,'finish','pending',NULL,NULL);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',4,'verify','pending',NULL,NULL);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',5,'switch','pending',NULL,NULL);
INSERT INTO job_tasks VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026',6,'settle','pending',NULL,NULL);
CREATE TABLE moves (
    job_id      TEXT PRIMARY KEY, -- that works on it: the move, and when it is 'leaving' the eviction
    instance_id TEXT NOT NULL,    -- no reference: what is left behind outlives the instance
    from_node   TEXT NOT NULL REFERENCES nodes (id),
    to_node     TEXT NOT NULL REFERENCES nodes (id),
    stage       TEXT NOT NULL CHECK (stage IN ('copying', 'switched', 'leaving')),
    counts_on   TEXT NOT NULL REFERENCES nodes (id), -- the node on which it takes room beside the instance's own row
    memory_mib  INTEGER NOT NULL,
    disk_mib    INTEGER NOT NULL,
    nano_cpus   INTEGER NOT NULL,
    generation  INTEGER NOT NULL, -- that from_node was told last; when it is 'leaving', of the removal, and 0 when no instance was there
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO moves VALUES('286bc0ff-5d26-456c-9443-f5d96fcb5026','749fd4e7','08c1c5de-30de-4448-957e-ee4bb05b125a','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','copying','4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6',512,2048,500000000,1,1795350470750);
CREATE TABLE strays (
    node_id     TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    instance_id TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    state       TEXT NOT NULL, -- JSON, wire.State
    found_at    INTEGER NOT NULL,
    PRIMARY KEY (node_id, instance_id)
) STRICT, WITHOUT ROWID;
INSERT INTO strays VALUES('08c1c5de-30de-4448-957e-ee4bb05b125a','0a1b2c3d',3,'{"phase":"ready","actual":"running","converged":true,"container":"c9"}',1795329020673);
CREATE TABLE node_loads (
    node_id     TEXT PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    name        TEXT NOT NULL DEFAULT '' COLLATE NOCASE,
    takes       INTEGER NOT NULL DEFAULT 0, -- 1: let in, and not in maintenance
    memory_room INTEGER NOT NULL DEFAULT 0, -- MiB in all: declared times the factor, without the reserve
    disk_room   INTEGER NOT NULL DEFAULT 0,
    cpu_room    INTEGER NOT NULL DEFAULT 0, -- billionths of a core; 0: not limited
    cores       INTEGER NOT NULL DEFAULT 0, -- 0: nobody knows
    instances   INTEGER NOT NULL DEFAULT 0,
    memory_mib  INTEGER NOT NULL DEFAULT 0, -- given, as are the next two
    disk_mib    INTEGER NOT NULL DEFAULT 0,
    nano_cpus   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO node_loads VALUES('08c1c5de-30de-4448-957e-ee4bb05b125a','berlin-1',1,8192,40960,0,8,3,1792,7168,1750000000);
INSERT INTO node_loads VALUES('4f8f04cd-6a52-4da7-9f89-c35ddca9e2d6','berlin-2',1,8192,81920,0,0,1,1280,5120,2500000000);
CREATE TABLE ssh_keys (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    public_key  TEXT NOT NULL, -- as in authorized_keys, without comment
    fingerprint TEXT NOT NULL, -- SHA256:…
    created_at  INTEGER NOT NULL,
    UNIQUE (user_id, fingerprint)
) STRICT;
INSERT INTO ssh_keys VALUES('5a0fd3a4-7ab1-4d74-8a5e-0b7c6f0a4a01','92b992d0-4a9e-4858-965b-54700b03b453','laptop','ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFUM/GiW3DcN4q02xTPZGv43qWhYbaxTSnJzzx2iXsYd','SHA256:zX4RMGW26EKuknu2v6iXmnnpBv35qMFOhbNPkfA9sqk',1795349000000);
CREATE TABLE uploads (
    id          TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    user_id     TEXT, -- who began it; NULL on the controller's own socket
    path        TEXT NOT NULL, -- wire.Path in its text form
    size        INTEGER NOT NULL,
    overwrite   INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'finishing', 'finished')),
    created_at  INTEGER NOT NULL,
    touched_at  INTEGER NOT NULL
) STRICT;
INSERT INTO uploads VALUES('0e7d2a52-5f51-4a3c-9d2e-8f8b7f1d1a02','049133bc','92b992d0-4a9e-4858-965b-54700b03b453','world/region.mca',1048576,0,'open',1795349100000,1795349200000);
CREATE TABLE reserved_ports (
    node_id     TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    ip          TEXT NOT NULL,
    instance_id TEXT NOT NULL, -- the stray's: no reference
    PRIMARY KEY (node_id, port, ip, instance_id)
) STRICT, WITHOUT ROWID;
INSERT INTO reserved_ports VALUES('08c1c5de-30de-4448-957e-ee4bb05b125a',25999,'0.0.0.0','feedbeef');
CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    permissions TEXT NOT NULL, -- JSON array, see controller/access.Permission
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO roles VALUES('3f0c7a52-7d7e-4f0b-a8d5-0c2e6f6d9a11','Support','Looks after instances','["users.read","nodes.read","instances.read","instances.write","activity.read"]',1795340000000,1795340000005);
CREATE TABLE subusers (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    rights      TEXT NOT NULL, -- JSON array, see controller/access.Right
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO subusers VALUES('749fd4e7','5b0b0c1e-52f7-4f29-8e0f-6b1b7a6c0e77','["console.read","console.write","instance.see"]',1795340000020,1795340000025);
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the cookie
    means        TEXT NOT NULL,        -- password, passkey, oidc, link
    address      TEXT NOT NULL,
    browser      TEXT NOT NULL,        -- User-Agent, shortened
    created_at   INTEGER NOT NULL,
    proved_at    INTEGER NOT NULL,     -- when he last proved who he is
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
INSERT INTO sessions VALUES('b57c0d38-62cb-4d6c-b1a1-8d4a7a1e6f02','92b992d0-4a9e-4858-965b-54700b03b453',X'a7aa51bbef43817476cca80506f41f87c3f94c6818d24d2c83278a4838b64b14','password','192.0.2.33','Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',1795340000030,1795340000030,1795340000400,1797932000030);
CREATE TABLE authenticators (
    user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       BLOB NOT NULL, -- of TOTP, sealed with the controller's own key
    last_step    INTEGER NOT NULL DEFAULT 0, -- the last one that was accepted: none works twice
    confirmed_at INTEGER, -- NULL while it is being set up
    created_at   INTEGER NOT NULL
) STRICT;
INSERT INTO authenticators VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b',59844670,1795340000041,1795340000040);
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BLOB NOT NULL, -- SHA-256; the code is random
    used_at INTEGER,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'0e8f7f17837b687118dace07feef40dbf4a3a0ee67114f74bd5168ef5f55b3e3',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'270e4c6fcc31d7adde5f8b6cd5618d407fc6c6576dc956d25f4d3ff519bb4dc8',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'550531708163ea1221f1ef8daf5d0096d6f5fe496782f6172d0cc24d48050205',1795340000090);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'5945f725665f62d46d333e6d56d9027ffe948b8edbba4450bbf6235bbd0ade1f',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'7c6e5fb369293c93503d156fb77c17d8429d8f35eb6fe170c38feb416d54326d',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'a0c3c3cd34d465458ebb6a35df836bd90da53ff2c1d2dec332a7f9973ee5264c',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'bcbdd28210c85771ccdf1261db2adcb897fa1fc657f00fc6fbd40c3641859bfc',NULL);
INSERT INTO recovery_codes VALUES('92b992d0-4a9e-4858-965b-54700b03b453',X'bd3ad809c85754eb82157e63f41c460143332e5ad72aa8aae13f8d556852a0b8',NULL);
CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE,
    credential    TEXT NOT NULL, -- JSON, of the WebAuthn library; public key and counter
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
INSERT INTO passkeys VALUES('e07bb5a4-51b4-4c7f-8a38-77d9f0f7a7cb','92b992d0-4a9e-4858-965b-54700b03b453','Phone',X'e265b6f564601a1fe8dc42785cd18a868bd8013e','{"id":"VGVzdA","publicKey":"pQECAyYgASFYIA","attestationType":"none","transport":["internal"],"flags":{"userPresent":true,"userVerified":true,"backupEligible":true,"backupState":true},"authenticator":{"AAGUID":"AAAAAAAAAAAAAAAAAAAAAA==","signCount":3,"cloneWarning":false,"attachment":""}}',1795340000050,1795340000051);
CREATE TABLE links (
    id         TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('invite', 'reset', 'email')),
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL UNIQUE, -- SHA-256 of what is in the link
    email      TEXT NOT NULL DEFAULT '', -- where it was mailed to, with purpose email the new address; '' it was handed over
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO links VALUES('7d0f23f0-44a8-4a33-9d3a-27f3fd6cf8c1','reset','92b992d0-4a9e-4858-965b-54700b03b453',X'c3b1d4344a1dc3ca6849123e6b476700cf72cbf59ef389ab4a83bf559e5ef045','anna@example.com',1795340000060,1795343600060);
INSERT INTO links VALUES('80a4cf0e-9df1-4d15-8f86-3b7bb1c2f9e4','email','5b0b0c1e-52f7-4f29-8e0f-6b1b7a6c0e77',X'8bc82a6202cc91b4805b12bc2a841b95f1a630c6553e556171996b616cc53b9b','bob@example.org',1795340000061,1795426400061);
CREATE TABLE oidc_identities (
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
INSERT INTO oidc_identities VALUES('https://login.example.com','248289761001','5b0b0c1e-52f7-4f29-8e0f-6b1b7a6c0e77','bob@example.com',1795340000070,1795340000071);
CREATE TABLE mails (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    about      TEXT NOT NULL, -- JSON, of the room whose kind it is; never a secret
    attempts   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    until      INTEGER NOT NULL -- then it is given up
) STRICT;
INSERT INTO mails VALUES('1e0a49c4-88ce-4c11-8b5e-df0d1c1d7f3a','reset','{"link": "7d0f23f0-44a8-4a33-9d3a-27f3fd6cf8c1"}',1,1795340000060,1795340030060,1795343600060);
CREATE TABLE settings (
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL, -- JSON without secrets
    secret     BLOB,          -- sealed with the controller's own key
    updated_at INTEGER NOT NULL
) STRICT;
INSERT INTO settings VALUES('mail','{"host":"mail.example.com","port":587,"security":"starttls","username":"berth","from":"berth@example.com"}',X'32333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d',1795340000080);
INSERT INTO settings VALUES('panel','{"name":"Berth"}',NULL,1795340000081);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('goose_db_version',5);
INSERT INTO sqlite_sequence VALUES('events',32);
CREATE INDEX api_keys_user ON api_keys (user_id);
CREATE INDEX idempotent_answers_age ON idempotent_answers (created_at);
CREATE INDEX enrolment_keys_node ON enrolment_keys (node_id);
CREATE INDEX instances_owner ON instances (owner_id);
CREATE INDEX instances_node ON instances (node_id);
CREATE INDEX instances_image ON instances (image_id);
CREATE INDEX instances_created ON instances (created_at, id);
CREATE INDEX allocations_instance ON allocations (instance_id);
CREATE INDEX jobs_instance ON jobs (instance_id, created_at);
CREATE INDEX jobs_created ON jobs (created_at);
CREATE INDEX events_instance ON events (instance_id, id);
CREATE INDEX events_owner ON events (owner_id, id);
CREATE INDEX events_at ON events (at);
CREATE INDEX jobs_due ON jobs (run_at) WHERE finished_at IS NULL AND handed = 0 AND lease_until IS NULL;
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_deadline ON jobs (deadline) WHERE finished_at IS NULL;
CREATE INDEX jobs_node ON jobs (node_id) WHERE finished_at IS NULL;
CREATE INDEX jobs_kind ON jobs (kind, created_at) WHERE finished_at IS NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX moves_one_at_a_time ON moves (instance_id) WHERE stage <> 'leaving';
CREATE INDEX moves_instance ON moves (instance_id);
CREATE INDEX moves_from ON moves (from_node);
CREATE INDEX moves_to ON moves (to_node);
CREATE INDEX allocations_free ON allocations (node_id, port) WHERE pooled = 1 AND instance_id IS NULL;
CREATE INDEX instances_actual ON instances (actual);
CREATE INDEX instances_suspended ON instances (suspended) WHERE suspended = 1;
CREATE INDEX uploads_instance ON uploads (instance_id);
CREATE INDEX uploads_touched ON uploads (touched_at);
CREATE UNIQUE INDEX jobs_one_per_instance ON jobs (instance_id) WHERE state IN ('queued', 'waiting', 'running') AND beside = 0;
CREATE INDEX jobs_beside ON jobs (instance_id) WHERE finished_at IS NULL AND beside = 1;
CREATE INDEX users_role ON users (role_id);
CREATE INDEX subusers_user ON subusers (user_id);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (expires_at);
CREATE INDEX passkeys_user ON passkeys (user_id);
CREATE INDEX links_user ON links (user_id);
CREATE INDEX oidc_identities_user ON oidc_identities (user_id);
CREATE INDEX mails_next ON mails (next_at);
CREATE INDEX events_actor ON events (actor_id, id);
CREATE INDEX events_via ON events (via, id);
CREATE INDEX events_thing ON events (thing, id);
CREATE INDEX events_type ON events (type, id);
CREATE INDEX events_node ON events (node_id, id) WHERE node_id IS NOT NULL;
CREATE INDEX events_job ON events (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX events_subject ON events (subject_id, id) WHERE subject_id IS NOT NULL;
CREATE TRIGGER instances_more AFTER INSERT ON instances BEGIN
    UPDATE totals SET total = total + 1 WHERE name = 'instances';
END;
CREATE TRIGGER instances_fewer AFTER DELETE ON instances BEGIN
    UPDATE totals SET total = total - 1 WHERE name = 'instances';
END;
CREATE TRIGGER node_loads_node_changed AFTER UPDATE OF name, memory_mib, disk_mib, memory_factor, disk_factor, cpu_factor, memory_reserve_mib,
    disk_reserve_mib, maintenance, enrolled_at, revoked_at, hello ON nodes BEGIN
    UPDATE node_loads SET name = new.name,
        takes = (new.enrolled_at IS NOT NULL AND new.revoked_at IS NULL AND new.maintenance = 0),
        memory_room = CAST(new.memory_mib * new.memory_factor AS INTEGER) - new.memory_reserve_mib,
        disk_room = CAST(new.disk_mib * new.disk_factor AS INTEGER) - new.disk_reserve_mib,
        cores = COALESCE(CAST(new.hello ->> '$.engine.cores' AS INTEGER), 0),
        cpu_room = CAST(COALESCE(CAST(new.hello ->> '$.engine.cores' AS INTEGER), 0) * new.cpu_factor * 1000000000 AS INTEGER)
    WHERE node_id = new.id;
END;
CREATE TRIGGER node_loads_begin AFTER INSERT ON nodes BEGIN
    INSERT INTO node_loads (node_id) VALUES (new.id);
    UPDATE nodes SET name = new.name WHERE id = new.id; -- as above
END
;
CREATE TRIGGER node_loads_instance_added AFTER INSERT ON instances BEGIN
    UPDATE node_loads SET instances = instances + 1, memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib,
        nano_cpus = nano_cpus + new.nano_cpus WHERE node_id = new.node_id;
END;
CREATE TRIGGER node_loads_instance_removed AFTER DELETE ON instances BEGIN
    UPDATE node_loads SET instances = instances - 1, memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib,
        nano_cpus = nano_cpus - old.nano_cpus WHERE node_id = old.node_id;
END;
CREATE TRIGGER node_loads_instance_changed AFTER UPDATE OF node_id, memory_mib, disk_mib, nano_cpus ON instances
WHEN old.node_id <> new.node_id OR old.memory_mib <> new.memory_mib OR old.disk_mib <> new.disk_mib OR old.nano_cpus <> new.nano_cpus BEGIN
    UPDATE node_loads SET instances = instances - 1, memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib,
        nano_cpus = nano_cpus - old.nano_cpus WHERE node_id = old.node_id;
    UPDATE node_loads SET instances = instances + 1, memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib,
        nano_cpus = nano_cpus + new.nano_cpus WHERE node_id = new.node_id;
END;
CREATE TRIGGER node_loads_move_added AFTER INSERT ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib, nano_cpus = nano_cpus + new.nano_cpus
        WHERE node_id = new.counts_on;
END;
CREATE TRIGGER node_loads_move_removed AFTER DELETE ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib, nano_cpus = nano_cpus - old.nano_cpus
        WHERE node_id = old.counts_on;
END;
CREATE TRIGGER node_loads_move_changed AFTER UPDATE ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib, nano_cpus = nano_cpus - old.nano_cpus
        WHERE node_id = old.counts_on;
    UPDATE node_loads SET memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib, nano_cpus = nano_cpus + new.nano_cpus
        WHERE node_id = new.counts_on;
END;
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'what happened is not changed'); END;
COMMIT;
