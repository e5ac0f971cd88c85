// Text of a dataplane's, for logs and terminals: an escape sequence in it must not reach them. Pure.
#ifndef SLUICE_CONTROL_DATAPLANE_PLAIN_TEXT_H_
#define SLUICE_CONTROL_DATAPLANE_PLAIN_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

// Returns the text, at most `most` bytes of it and cut between characters, with a '?' for each control character (C0,
// DEL, and C1 in UTF-8). `text` is UTF-8, as protobuf's strings are.
std::string PlainText(absl::string_view text, size_t most);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_PLAIN_TEXT_H_
