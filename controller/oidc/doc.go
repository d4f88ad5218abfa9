// Package oidc lets people log in at another place: a provider of OpenID Connect
// that an admin sets. It is the code flow with PKCE, state and nonce, by
// coreos/go-oidc.
//
//	start → (the provider asks who it is) → callback → logged in | /login?problem=…
//
// What a flow must remember (state, nonce, verifier, where to go on) is sealed in
// a cookie of ten minutes that only our callback reads: nothing is kept here for
// who never comes back, and a flow that was begun in one browser ends in no other.
//
// Promises:
//
//   - The redirect goes to {PublicURL}/api/v1/auth/oidc/callback and to nothing that
//     a request says; where a browser goes on after it is a path of the panel.
//   - Somebody is known by issuer and subject alone. His address counts once, when
//     he comes for the first time, and only when the provider says that it verified
//     it.
//   - An account is linked by its address only when the setting allows it, the
//     address is verified here too, and the account is a plain customer's without a
//     second factor: a provider is no way into what can do more. Others link it
//     themselves, logged in and with a fresh proof, and can unlink it.
//   - An account is made only when the setting allows it. It has no password, and
//     no role but the default one or the one that the provider's groups map to.
//     Nobody becomes an admin by a claim.
//   - Where groups are mapped to roles, roles follow the groups at each login.
//   - A disabled account stays out. A login counts as a whole one: the provider is
//     trusted to have asked for enough.
//   - The client's secret is told only to the issuer that it was set for.
//   - Providers are spoken to by https only, but on this very machine; answers are
//     limited in size and time.
//
// Who may set the provider decides who gets in as whom: that takes an admin.
//
// Refused: a login by an address alone at each time (addresses change hands);
// tokens that are kept (we need nothing of the provider after the login).
package oidc
