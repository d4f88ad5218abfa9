// Package image is the catalogue: what can be hosted. An image names container
// references, the variables a customer fills in, how it starts, stops and is
// installed. Definitions come in by fields or in the classic JSON form.
//
// Promises: a name is unique; where several images share a reference, the one
// made first answers to it; an image that an instance uses can't be deleted.
// Text of the image's author may name variables as {{NAME}}; a value is put in
// once and never looked at again, and text of a user is never expanded. In a
// start line that needs a shell, a name becomes a reference to the environment,
// so that no value is ever read as a command.
package image
