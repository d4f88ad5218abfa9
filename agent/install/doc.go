// Package install prepares a new volume: it downloads the files that a spec
// names into it, before the first start.
//
// A spec's addresses come from people who may deploy but must not reach what the
// node can reach. So the guard stands where nothing can go around it, in the
// dialler: the address that is really dialled is checked at every hop, after the
// name was resolved. Loopback, private, link-local (cloud metadata too), shared
// (CGNAT), multicast, reserved, and IPv6 forms that carry an IPv4 address are
// refused unless the node's own settings allow their network.
//
// Refused: checking the URL's host before the request, which a redirect or a
// name that answers differently the second time defeats.
package install
