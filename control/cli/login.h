// The address from which the user is logged in. One thread; reads /proc.
#ifndef SLUICE_CONTROL_CLI_LOGIN_H_
#define SLUICE_CONTROL_CLI_LOGIN_H_

#include <string>
#include <vector>

namespace sluice::cli {

// Returns the clients of ssh (SSH_CLIENT, sshd(8)) in the environments of this process and its parents: sudo does not
// hand it on. Empty for a local login.
std::vector<std::string> LoginAddresses();

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_LOGIN_H_
