// Package access is the one place that decides who may do what. Everything is
// refused unless a rule allows it.
//
// A route has a Rule, checked by httpapi before any handler: public, any user, a
// permission, or a right to the instance that it names. controller/app lists every
// route with its rule, and tests that each holds.
//
// A Permission is for what isn't one's own: an admin has all, others those of their
// role, customers none. A Right is for one instance: its owner has all of them, and
// whoever may write all instances; a subuser has those he was given. Caller.May is
// the only place where rights are decided, Caller.Reach is the same for lists, and
// Caller.Covers keeps everybody from giving more than he has. A key's scopes limit
// both: what it takes is Permission.Scope and Right.Scope.
//
// What a caller may not see does not exist for him (NOT_FOUND); what he sees and may
// not do is FORBIDDEN. A Caller is loaded anew with every call, and for what stays
// open again after each event that may have changed it.
package access
