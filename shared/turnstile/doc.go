// Package turnstile slows strangers down at a door: a Brake makes who fails wait
// longer with each try, Guesses do so for passwords, a Lobby bounds how many are
// inside at a time, and Network names where somebody comes from.
//
// Promises: memory is bounded, whatever comes (a Brake forgets who came the
// longest ago first, a Lobby knows only who is inside); a try counts from its
// beginning, so that many at once get no more of them than one after the other;
// nothing here sleeps, reads a clock or starts a goroutine. All are safe for
// concurrent use.
package turnstile
