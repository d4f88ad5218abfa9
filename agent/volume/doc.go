// Package volume keeps the instances' data directories: `<dir>/<id>/data`, one
// per instance, mounted into its container. It is the only room that knows these
// paths.
//
// Promises:
//   - A name is built only from an id whose form was checked, and everything is
//     reached beneath the root through os.Root: a link that a container left in its
//     volume leads nowhere outside, for writing and for removing alike.
//   - The root and each instance's directory are closed to others on the machine
//     (0700): what a container marks setuid in its volume is no use to them.
//   - Remove takes away all of it and may be repeated at any stage.
//   - A volume that is copied from another node grows under `.incoming/<id>` on the
//     same filesystem, and Adopt renames it into its place, whole: at no moment is
//     there half a volume, nor none after there was one.
//
// An agent that doesn't run as root can't give files away; then the volumes stay
// its own and Own does nothing (see Store.Privileged).
package volume
