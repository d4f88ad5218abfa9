// Package volume keeps the instances' disks: `<dir>/<id>/`, one per instance, with
// the folder `data` that its container sees. It is the only room that knows these
// paths, and the only one that mounts.
//
// How a volume is held to its limit is its driver's affair (driver.go): an ext4
// image mounted at `<id>/mount` with the data inside, beside the record or in a
// pool; a directory with a project quota; a plain directory, whose limit is soft.
// The driver of new volumes is chosen by trying, at the start (choose.go). What a
// volume is says its record, `<id>/volume.json`; without one it is a plain
// directory, as all were once.
//
// Promises:
//   - A name is built only from an id whose form was checked, and everything is
//     reached beneath the root through os.Root: a link that a container left in its
//     volume leads nowhere outside, for writing and for removing alike.
//   - The root and each instance's directory are closed to others on the machine
//     (0700): what a container marks setuid in its volume is no use to them.
//   - A volume counts from the moment its record is on the disk, and is whole then;
//     a conversion is the replacement of the record. What was broken off before or
//     after that is thrown away.
//   - Remove takes away all of it and may be repeated at any stage.
//   - A container never writes to a bare mount point: its data lies in a folder
//     inside the mount, and the mount point is immutable.
//   - No image is attached twice: a lock on it lasts while that is looked for, and
//     one agent at a time has the directory.
//   - A volume that is copied from another node grows under `.incoming/<id>` on the
//     filesystem that it will have, and Adopt renames it into its place, whole: at
//     no moment is there half a volume, nor none after there was one.
//
// Locks: entry.work is held through a change of one volume and may last as long as
// that; everything else is short. Nothing here calls back to whoever called.
//
// An agent that doesn't run as root can't give files away; then the volumes stay
// its own, Own does nothing (see Store.Privileged), and all are plain directories.
//
// Refused: btrfs subvolumes with quota groups (a third of the speed for databases,
// which end at the limit); shrinking an ext4 in place (killed at it, it is lost: a
// copy is made instead); mounting with `discard` (each delete pays for it);
// detaching loop devices ourselves (the kernel's autoclear does when the last
// mount of it goes, also after a kill).
package volume
