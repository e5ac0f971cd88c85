// Names a process for users. Any thread.
#ifndef SLUICE_CONTROL_KERNEL_PROCESS_NAME_H_
#define SLUICE_CONTROL_KERNEL_PROCESS_NAME_H_

#include <sys/types.h>

#include <string>

namespace sluice {

// "pid 4711 (sluice-agent --socket /run/x.sock)", cut to a line; what the process calls itself proves nothing. pid 0: a
// process of another container.
std::string ProcessName(pid_t pid);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_PROCESS_NAME_H_
