// Package image is the catalogue: what can be hosted. An image names container
// references, the variables a customer fills in, how it starts, stops and is
// installed. Definitions come in by fields, or from files: eggs, classic images,
// and what else a Reader reads (Compose files are put in by app).
//
// Promises: a name is unique; where several images share a reference, the one
// made first answers to it; an image that an instance uses can't be deleted.
//
// An import takes each file as a whole or not at all, tells field by field what it
// took otherwise and what means nothing here, and updates in place what it has
// imported before (register.go says how that is found). It leaves what people have
// made of an image and the file's format can't say, and the references that
// instances run. Whatever goes out comes back as the same, also what is no egg:
// see overlay.go. Only defaults of secrets stay here. Refused: a merge of two
// files that share an id or a name (public collections hold such pairs on
// purpose); to keep imported files as they came (an image that was changed here
// would have two truths).
//
// Rendering (render.go) is the one place where values meet an image's texts, and
// it happens in the controller: an agent gets no placeholder. Text of the image's
// author may name, as {{NAME}}, the variables, what the environment has (env.NAME
// and the other spellings of eggs) and what an instance is (server.…,
// config.docker.interface; of the classic form primaryPort and three more). A
// value is put in once and never looked at again, and text of a user is never
// expanded. Of the names that are an egg's, an unknown one is empty; any other stays,
// since it may be meant for the program. In a start line that a shell reads, a name
// becomes a reference to the environment, so that no value is ever read as a
// command; what no shell could name is there a second time as BERTH_…. In the path of
// a patch a value is a part of a key, whatever stands in it.
//
// An egg's container keeps its own entrypoint, which finds the line in STARTUP.
// SERVER_IP is 0.0.0.0: what a program in a container can bind to; the address
// that people use is its node's.
//
// Values are held against the variables' rules (package rule) where they come in,
// never on import and never because an image has changed since: real definitions
// have defaults that break their own rules. Customers see no hidden variable and
// change no locked one; the value of a secret is shown to nobody, nor its default.
// Refused: values that are expanded by the agent, which would need to know what is
// secret and who may read it; and no check but the container's, which would answer
// a wrong form with a program that doesn't start.
package image
