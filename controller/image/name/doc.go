// Package name says what people may call a thing, such as an image: text that looks
// like nothing but what it is. Files of others are made to fit (Clean), what somebody
// writes here is refused (Check).
//
// Refused: to take all but control characters. Signs that turn the direction of what
// follows, or that aren't seen, make one name look like another's.
package name
