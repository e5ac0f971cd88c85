#include "control/cli/login.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice::cli {
namespace {

constexpr const char* kVariable = "SSH_CLIENT=";

// Returns the variable's first word in that process's environment; "" when it cannot be read or has none.
std::string ClientOf(pid_t pid) {
  std::ifstream environment(absl::StrCat("/proc/", pid, "/environ"));
  for (std::string variable; std::getline(environment, variable, '\0');) {
    if (absl::StartsWith(variable, kVariable)) {
      const std::string value = variable.substr(absl::string_view(kVariable).size());
      return value.substr(0, value.find(' '));
    }
  }
  return "";
}

// Returns 0 when there is none.
pid_t ParentOf(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string key; status >> key;) {
    if (pid_t parent = 0; key == "PPid:" && status >> parent) {
      return parent;
    }
  }
  return 0;
}

}  // namespace

std::vector<std::string> LoginAddresses() {
  constexpr int kMostParents = 32;
  std::vector<std::string> addresses;
  pid_t pid = getpid();
  for (int depth = 0; depth < kMostParents && pid > 1; ++depth, pid = ParentOf(pid)) {
    std::string client = ClientOf(pid);
    if (!client.empty() && (addresses.empty() || addresses.back() != client)) {
      addresses.push_back(std::move(client));
    }
  }
  return addresses;
}

}  // namespace sluice::cli
