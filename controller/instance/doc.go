// Package instance is the desired state of each hosted container, beside it what
// its node last said of it, and the verbs that change either.
//
// Desired is a wire.Spec with a generation that rises by one with each change;
// it is kept whole, so that what a node is told is what is in the database.
// Actual comes from the agent's events alone and is never guessed. A view's
// status puts both together: deleting, suspended, installing, failed, else what
// the container does.
//
//	phase: installing → ready | failed; failed → installing | ready;
//	       ready → installing; any → deleting → gone
//
// Every verb is one write transaction: the row, its allocations, the job, the
// event; the network comes after it, in the job. A second verb while a job is
// alive is RESOURCE_BUSY; kill, suspend, unsuspend and delete don't wait: they
// supersede it. The job ends in the transaction in which the agent's event says
// that its generation is done.
//
// A change says what it takes (restart.go): nothing, nothing but that it happens, the
// next start, or a restart now, because the container is made anew. Limits never take
// one. An instance runs what its image said when it was last described: at its
// making, a change of its settings, a refresh, or a reinstallation. Its view says
// when the image would now say something else. A clone has the settings of another
// instance and none of its files: they may be another's, and are as large as a move.
//
// What a node holds and no row stands for is a stray (stray.go): made after the
// copy that this database was restored from, or forgotten here. It is shown and
// left alone until somebody adopts it as it runs, or has it removed.
//
// Going to another node is controller/move's: it uses the verbs in move.go and has
// its say, as Moves, where events, reconciliation and deletion concern it.
//
// Promises: a node's memory, disk and ports are never given twice, since they
// are counted in the transaction that takes them; a suspended instance has no
// power; after a delete the id is not found, and its ports are free once the
// node has said that container and volume are gone.
package instance
