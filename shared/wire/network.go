package wire

// Network is what an instance may reach beside the internet. The zero value
// reaches nothing else: not its node, no other instance, no private or link-local
// range, no metadata service of a cloud.
type Network struct {
	// Allow are CIDRs that are let through although they are refused by default,
	// such as "10.1.0.0/16" or "192.0.2.7/32". At most 64.
	Allow []string `json:"allow,omitempty"`
	// Instances lets it reach other instances of its node that say the same.
	Instances bool `json:"instances,omitempty"`
	// Offline lets nothing out at all, and answers only what comes in by its ports.
	Offline bool `json:"offline,omitempty"`
	// What may go out and come in, in bytes a second; 0 is no limit.
	OutBytes int64 `json:"out_bytes,omitempty"`
	InBytes  int64 `json:"in_bytes,omitempty"`
}

// Firewall says whether a node can hold what Network asks.
type Firewall struct {
	Works   bool   `json:"works"`
	Message string `json:"message,omitempty"` // why not, and what to do
}
