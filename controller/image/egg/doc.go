// Package egg reads and writes eggs, the files in which hosters of games keep
// what can be hosted: PTDL_v1 and v2, PLCN_v1, v2 and v3, as JSON or YAML. It
// knows texts only: no network, no database, and nothing of Berth's own images.
//
// Promises: what a file says is read whichever of the usual forms it has (a list,
// a map, a text or nothing where another file has something else), scalars of
// YAML as the characters that stand there, and order is kept where it means
// something. Nothing is lost unsaid: fields that mean nothing here come back in
// Kept and by name in Ignored, and what is read otherwise than it stands there
// is in Changes. What can't be read is an *Error with the line and the field.
// What Write writes, Read reads as the same Egg, but for its format.
//
// Refused: structs with tags for each version (the forms differ in most fields,
// and a mismatch would be told without its line); a schema check before the
// reading (it would refuse what every panel reads).
package egg
