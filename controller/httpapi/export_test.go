package httpapi

import "time"

// Hurry makes an API wait a tenth of a second where it waits seconds.
func Hurry(a *API) {
	a.pace = pace{grace: 200 * time.Millisecond, open: 50 * time.Millisecond, recheck: 20 * time.Millisecond, beats: 5, farewell: 200 * time.Millisecond, stall: 100 * time.Millisecond}
}
