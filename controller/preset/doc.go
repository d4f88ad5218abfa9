// Package preset keeps settings under a name, for each image: what an instance is
// made with where its deployer says nothing else. A preset is read when an
// instance is made and never again; changing or deleting it changes no instance.
//
// Promises: a preset is found through its image; its name is unique there, whatever
// its case; no value of a secret variable is taken in, so none can come out. Values
// are checked with the image's rules when an instance is made from them, not here:
// a preset may leave something to fill in, and an image may change.
//
// Refused: presets as instances that never run. They would count against quotas,
// ports and nodes.
package preset
