// Package instance makes what is into what should be: one owner goroutine per
// instance, which is the only one that touches its container and its volume.
//
// The controller says what should be (a wire.Spec or a wire.Removal with a rising
// generation); Manager journals it, answers, and wakes the owner. The owner takes
// turns. Each turn looks, does what is missing, and tells what changed as an event:
//
//	image → volume → network → container → owner, downloads and script of a new volume → power
//
// Before each start the volume's config files are patched (agent/patch); one that
// can't be is a start that fails.
//
// Phases: installing → ready or failed; failed → installing by a new generation;
// ready → installing by an order to install again (reinstall.go). A failure on an
// instance that was ready leaves it ready: its data is there.
//
//	stopped → starting → running → stopping → stopped
//	running → crashed → starting         (it ended with an error; again at once, or after a while)
//	running → stopped                    (it ended without one: left alone until the next order)
//	starting → crashed or stopped        (likewise, before it was ready)
//	running → stopped, stopped → running (by hand: see below)
//	starting → stopped, with a Failure   (a start that fails before the container runs is no crash)
//
// Promises:
//   - A newer spec or a removal interrupts the turn under way, a pull or a grace
//     period too. The next turn starts from what is there, whatever was half done.
//   - A failure that may pass is tried again, more and more rarely, where the instance
//     was ready (again.go). A deployment isn't, as whoever ordered it is told and
//     decides, unless the engine or the agent went down in the middle of it: then for
//     a minute, with its container made anew, before anybody is told.
//   - A power order is carried out once: its number is journalled together with
//     what makes repeating it harmless. A stop that was asked for is finished before
//     anything else, so that a stop and a start in quick succession end in a start,
//     also when the agent is killed in between.
//   - A removal is finished before a later spec of the same id is begun: a new
//     instance never finds the old one's data.
//   - Starting becomes running when a line of this run's console says so, or the
//     image's health check; at once where the spec names no line and the image has
//     no check (ready.go). What was ready stays so until it ends, over restarts of
//     the agent too. A start that isn't ready in time is said to be overdue, and
//     that is all. A generation is converged when its container is up, ready or not:
//     refused was to wait, since a start that takes long must not keep orders away.
//   - A crash is an exit that was seen: a container that ran under this agent's eyes
//     and ended with an error, by itself. The first is restarted at once, within the
//     container's run where the engine can (runtime.Container's Held), those
//     that follow after 1 s, 2 s and so on, up to five minutes. Five within ten
//     minutes and the instance is left alone; the record survives restarts of the
//     agent. A run of ten minutes clears it. A spec's wire.Crash sets all of that but
//     the waits. Want of memory is an error whatever the exit code is said to be. A
//     start that fails before the container runs is none, and isn't counted.
//   - Data that was there once is never begun anew by itself: an instance whose volume
//     is gone fails, until the volume is back or a wipe is ordered. An order to
//     install again is carried out once; killed at any step, the agent begins it again
//     or goes on with it. One that a lost journal may have held is taken as carried
//     out: nothing is thrown away twice.
//   - A script that installs runs in a container of its own (script.go), before the
//     instance's own is started the first time. It is in the same sandbox and
//     network, behind the same fence, with no port published; it is never the
//     instance, whatever lists, changes and sweeps show of it. It goes on over newer
//     specs that ask for the same, breaks of the engine's stream, and the agent's own
//     end: the next one finds it by its labels, and takes what it printed meanwhile
//     from the engine's log. Refused: to remove it and begin anew each time, which
//     throws hours of downloads away for a start that somebody ordered twice. An end
//     that no agent saw, or that came with the engine's own, counts for nothing: the
//     script is run again, the downloads before it too. It is ended by a removal, a
//     suspension, a hold, a move, its time limit, and an order to install again.
//   - What an installation prints is in the console, line by line, and its first and
//     last lines in the job's log (output.go); its secrets are in neither.
//   - Limits change on the container that is there, while it runs (limits.go). A run
//     keeps memory that it uses: then the lower limit holds from the next start on,
//     and State.Unheld says so. Refused: to let the kernel end what runs, and to
//     restart it for that.
//   - While wire.Spec.Moving is set nothing starts, and Writable refuses writers;
//     those under way have ended when that generation is converged. Likewise before a
//     volume is thrown away or installed into again.
//   - What somebody does to a container through the engine is put right (drift.go):
//     removed is made again, stopped started (and no crash), started stopped, and
//     what was changed or paused is given back in place; made anew where the engine
//     can't. With wire.DriftReport, and once all that the generation asked for is
//     done, it is left so and said in State.Drift, until the next generation. A
//     suspension or a removal wins over both.
//   - Stopped by hand is told from ended by itself by the signal that the engine
//     was told to send in that life of the container. Refused: exit codes, of which
//     a good program gives 0 for both.
//   - Drift is seen when the engine tells of it, when it (re)connects, and by a sweep
//     every half minute (sweep.go): one list that costs the engine one call, and
//     an inspect of a few in turn, for what a list doesn't show.
//   - A stream's end says nothing. When the engine's event stream breaks, owners wait
//     for the next one and for a whole list, and go on from that. Exits seen shortly
//     before the break are taken for the engine's own going down: an instance that
//     should run is started again. Refused: to trust them, since an engine that is
//     restarted ends its containers in good order, with exit code 0, just before.
//     Nothing that ended then counts as by hand, nor as a crash.
//   - While the engine is away nothing is given up; what can't be done waits. What
//     fails on an instance that was ready, for a reason that may go away by itself
//     (again.go), is told and tried again after 2 s, 4 s and so on, up to five
//     minutes; a container that the engine can't start and doesn't say why, as it
//     may be after the engine's own death, is made anew.
package instance
