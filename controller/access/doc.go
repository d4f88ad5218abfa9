// Package access is the one place that decides who may do what. A route has a
// Rule (who may call it at all), checked by httpapi before any handler; a thing
// has an owner, checked by the feature through Caller.Sees and Caller.Owner, and
// what a caller may not see does not exist for him (NOT_FOUND, not FORBIDDEN).
// Everything is refused unless a rule allows it. Roles and permissions grow here.
package access
