package image

// DemoReference is the image that every agent makes by itself.
const DemoReference = "berth/demo:1"

// wellKnown is what a new catalogue starts with. Everything but the demo is
// pulled when it is first deployed.
func wellKnown() []Image {
	return []Image{
		{Name: "Demo", Definition: Definition{
			Description: "A small web page and a console that echoes. Needs no registry: every node has it.",
			AuthorName:  "Berth", References: []string{DemoReference}, StopCommand: "stop", ReadyLine: "ready on port", Volume: DefaultVolume,
			Variables: []Variable{{Name: "GREETING", Type: "text", Default: "Hello from Berth", Description: "What the page says"}},
		}},
		{Name: "nginx", Definition: Definition{
			Description: "Web server. Put the site's files into the volume.", AuthorName: "Berth",
			References: []string{"nginx:stable", "nginx:stable-alpine"}, Volume: "/usr/share/nginx/html", StopCommand: "^SIGQUIT", ReadyLine: "start worker processes",
		}},
		{Name: "Redis", Definition: Definition{
			Description: "Key-value store, written to disk each second.", AuthorName: "Berth",
			References: []string{"redis:7", "redis:7-alpine"}, CommandLine: `redis-server --appendonly yes --requirepass {{REDIS_PASSWORD}}`,
			Volume: "/data", ReadyLine: "Ready to accept connections",
			Variables: []Variable{{Name: "REDIS_PASSWORD", Type: "text", Required: true, Description: "What clients log in with"}},
		}},
		{Name: "PostgreSQL", Definition: Definition{
			Description: "Relational database.", AuthorName: "Berth",
			References: []string{"postgres:17", "postgres:16"}, Env: []string{"PGDATA=/var/lib/postgresql/data/pgdata"},
			Volume: "/var/lib/postgresql/data", StopCommand: "^SIGINT", StopGraceSeconds: 60, ReadyLine: "database system is ready to accept connections",
			Variables: []Variable{
				{Name: "POSTGRES_PASSWORD", Type: "text", Required: true, Description: "Of the database's superuser"},
				{Name: "POSTGRES_DB", Type: "text", Default: "app", Description: "The first database"},
			},
		}},
		{Name: "Minecraft Java", Definition: Definition{
			Description: "Minecraft server of any version and type.", AuthorName: "Berth",
			References: []string{"itzg/minecraft-server:latest", "itzg/minecraft-server:java21"}, Volume: "/data",
			StopCommand: "stop", StopGraceSeconds: 60, ReadyLine: "Done (", Features: []string{"eula"},
			Variables: []Variable{
				{Name: "EULA", Type: "text", Required: true, Description: "TRUE: you agree to the game's licence"},
				{Name: "VERSION", Type: "text", Default: "LATEST", Description: "Of the game"},
				{Name: "TYPE", Type: "text", Default: "VANILLA", Description: "VANILLA, PAPER, FABRIC, …"},
				{Name: "MEMORY", Type: "text", Default: "1G", Description: "Java's heap: leave a quarter of the instance's memory free"},
			},
		}},
	}
}
