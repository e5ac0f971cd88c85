// Counts the descriptors in this process's epoll sets, as the kernel lists them in /proc/self/fdinfo.
#ifndef SLUICE_TESTS_DATAPLANE_EPOLL_MEMBERS_H_
#define SLUICE_TESTS_DATAPLANE_EPOLL_MEMBERS_H_

#include <filesystem>
#include <fstream>
#include <string>

namespace sluice {

inline int EpollMembers() {
  int members = 0;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream lines(file.path());
    for (std::string line; std::getline(lines, line);) {
      members += line.rfind("tfd:", 0) == 0 ? 1 : 0;
    }
  }
  return members;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_EPOLL_MEMBERS_H_
