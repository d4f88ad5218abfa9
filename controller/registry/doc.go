// Package registry keeps the logins with which nodes pull container images, and
// tells each node those that it needs.
//
// A login belongs to one host, as container references have it:
// "registry.example.com:5000", and "docker.io" for references without one. Hosts
// are read out of references by the same parser that engines use
// (distribution/reference) and compared whole: neither a path that looks like a
// host nor a host that begins like another one is ever taken for it.
//
// A node is told the logins of the hosts that its instances name, and no others:
// when it comes online, when logins or its instances change (controller/push), and
// before an order that names a host (Agents), so that the first pull has what it
// needs. The node keeps them, and so can make a container anew while the controller
// is away.
//
// # Promises
//
//   - A password goes in and never out: it is sealed for its host, so that a row
//     that is given another host opens to nothing, and no answer, event or log
//     holds it. The host of a login can't be changed: an old password would go to
//     a new host.
//   - What a node may have is decided from this database, never from what it asks.
//   - A login that is changed or removed here is changed or removed on every
//     online node within seconds.
//   - When the controller's key was lost, a login says that it must be set again,
//     and is not pushed.
//
// A login is tried from a node (Check), not from here: nodes are what reaches
// registries, by their own names, proxies and certificates, and the controller
// itself then opens no connection to a host of somebody's choosing.
//
// Refused: handing logins out with each order (a node that is cut off could make
// no container anew), and all logins to all nodes (one node that is taken over
// would give away every registry).
package registry
