// Package arch holds no code, only the tests that keep the plan of the house
// true: which rooms there are, who may know whom, and where the doors to the
// outside are. They read every Go file of the tree, so a rule is broken by a
// line, and the failure names it:
//
//	controller/instance/service.go:14: imports github.com/gofiber/fiber/v2: only controller/httpapi knows Fiber
//
// The plan is written down as data in plan_test.go. A new room gets a line
// there, in the change that brings it: which rank it has is a decision, and the
// next reader should find it in one place. The rules are in rules_test.go and
// layout_test.go, and each has a planted violation that it must find
// (planted_test.go): a rule that finds nothing is worth nothing.
//
// Only names and imports are read, not types: it takes a second, needs nothing
// that is not in the standard library, and works on a tree that does not
// compile at the moment. The limits of functions, the use of clocks and the
// like are the linters' (.golangci.yml).
package arch
