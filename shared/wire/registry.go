package wire

// Registries are the credentials with which a node pulls. The controller pushes
// those that instances of the node need, so that a container can be made anew
// while the controller is away. A credential is sent to the registry of exactly
// that host, never to another, and never comes back.
//
//	PUT  /v1/registries         Registries → RegistriesHeld   all of them, replacing what was there
//	POST /v1/registries/check   Registry → RegistryChecked    tries one, and keeps nothing of it
type Registries struct {
	Revision int64      `json:"revision"` // rises; an older one is ignored
	Logins   []Registry `json:"logins"`
}

// Registry is one login. An empty password means that Username isn't needed either.
type Registry struct {
	Host     string `json:"host"` // "registry.example.com:5000" as references have it; "docker.io" for those without a host
	Username string `json:"username"`
	Password string `json:"password"`
}

// RegistriesHeld answers a push.
type RegistriesHeld struct {
	Revision int64 `json:"revision"` // that the agent holds now
}

// The paths of the calls about registries.
const (
	PathRegistries    = "/v1/registries"
	PathRegistryCheck = "/v1/registries/check"
)

// RegistryChecked is what came of trying a login.
type RegistryChecked struct {
	Status  RegistryStatus `json:"status"`
	Message string         `json:"message"` // a sentence, without the password
}

// RegistryStatus says how a registry answers to a login.
type RegistryStatus string

// The statuses.
const (
	RegistryOK          RegistryStatus = "ok"
	RegistryRefused     RegistryStatus = "refused"     // wrong user name or password
	RegistryUnreachable RegistryStatus = "unreachable" // from that node
	RegistryLimited     RegistryStatus = "limited"     // too many tries for now
	RegistryFailed      RegistryStatus = "failed"      // the node's engine is away, or says something else
)

// PullPolicy is when an image is fetched.
type PullPolicy string

// The policies. All but the first ask the registry.
const (
	PullMissing PullPolicy = "missing" // when it is not on the node; "" is this
	PullAlways  PullPolicy = "always"  // before each container is made; what is there serves when the registry is away
	PullNever   PullPolicy = "never"   // it must be there
)
