// Package install prepares a volume before its first start: it downloads the
// files that a spec names into it, fills in their placeholders, and has the script
// ready that agent/instance runs in a container.
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
//
// A script is a file in a folder of its instance's own in the agent's data
// directory, from where it is mounted, read-only, into the container: its text is
// data on the node, and never a command line. Refused: handing it to the
// entrypoint with -c, where it would stand in the list of processes.
//
// What an installation prints passes a Mask, which keeps secrets of any length out of the
// console, the job's log and the sentence about a failure, also one that comes in
// two pieces.
package install
