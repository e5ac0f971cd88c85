// Tells whoever watches this process that long work goes on. systemd's watchdog would take a blocklist of a million
// prefixes, or a resize that waits for a queue, for a hang.
//
// Code that may take seconds calls NoteProgress() for each part that is done; a wait does so only if it has a bound.
// One thread: the agent's loop. Without a listener it does nothing.
#ifndef SLUICE_CONTROL_KERNEL_PROGRESS_H_
#define SLUICE_CONTROL_KERNEL_PROGRESS_H_

namespace sluice {

void NoteProgress();
// Has `listener` called by each NoteProgress() from now on; nullptr: nobody.
void OnProgress(void (*listener)());

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_PROGRESS_H_
