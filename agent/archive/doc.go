// Package archive reads and writes archives as streams: zip, tar, and what
// compresses a tar or a single file (gz, xz, zst, bz2 for reading). It touches no
// file; where entries come from and go to is the caller's.
//
// Promises about an archive that is read, whoever made it:
//   - What it is shows in its content, never in its name.
//   - Every Entry's Path is one beneath the root (wire.Path.Valid), of any bytes: an
//     archive with an absolute path, "..", a NUL or a name that is too long or too
//     deep is refused as a whole. Symbolic links are told of as they are, with any
//     target; not to follow them is the caller's. Devices, pipes and sockets are
//     passed over and counted.
//   - It can't make more of itself than Limits allow: bytes, entries, and bytes for
//     each byte of the archive. What it claims about its sizes isn't trusted.
//   - Memory is bounded: no dictionary or window over 128 MiB, no zip directory
//     over 16 MiB.
//
// Refused: a library over all formats. The limits sit between the parts of which
// such a library is made. The xz reader is another one than the xz writer: it is
// the one that bounds the dictionary which an archive may ask for.
package archive
