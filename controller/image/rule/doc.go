// Package rule says what the value of an image's variable must be, in the words
// that eggs use: "required", "max:20", "in:a,b", "regex:/^x$/i". It does no I/O.
//
// Meaning is that of Laravel's validator, which eggs are written for: bounds
// (min, max, between, size, gt …) are of the number where the rules say that it
// is one, else of the length in characters; a value that is empty, or blank, is
// held against required, present and filled alone. Names are read whatever their
// case, since files spell them so.
//
// Expressions are RE2: their delimiters go, their flags i m s u x U A D stay. One
// that only a backtracking engine understands can't be held and is told as such,
// like every rule that asks for other fields, a database or a file, and every word
// that nobody knows. Refused: an engine that backtracks, since an image's author
// could stop the controller with one expression.
//
// Parse is done once for each use; a Set is safe for concurrent use. Every rule
// that is broken gives one sentence, and for programs that say it in other
// languages a key and what it asks for. Keys and names of parameters stay.
package rule
