// Package mailtest is a real SMTP server on the loopback interface, for tests: it
// keeps what it is sent, and can be told to refuse.
package mailtest
