// Length-prefixed protobuf messages on a unix stream socket: 4 bytes, big-endian, then the message.
//
// Both calls block. SO_RCVTIMEO bounds the receiving of the length, and then of the message, each as a whole;
// SO_SNDTIMEO bounds the sending as a whole. Errors: Unavailable when the peer has closed, DeadlineExceeded when a
// timeout passed, InvalidArgument for a length above `max` (when it was received, the stream is then useless: close
// it), DataLoss for a message that does not parse or a stream that ends within one. One thread for each direction.
#ifndef SLUICE_CONTROL_WIRE_FRAMING_H_
#define SLUICE_CONTROL_WIRE_FRAMING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"

namespace sluice {

// The status of 64 queues of 4 ports, with every counter, takes some 60 KiB; a request is far smaller.
inline constexpr uint32_t kMaxFrameBytes = 1024 * 1024;

// A change may carry a file: a blocklist of four million IPv6 prefixes has up to 184 MB. The agent takes as much only
// from peers that may change things.
inline constexpr uint32_t kMaxChangeBytes = 256 * 1024 * 1024;

inline constexpr size_t kFrameLengthBytes = 4;

// Returns the bytes of the frame. InvalidArgument above `max`.
absl::StatusOr<std::string> FrameOf(const google::protobuf::MessageLite& message, uint32_t max = kMaxFrameBytes);
// Returns the length that a frame's first four bytes announce.
uint32_t AnnouncedLength(const char* frame);

absl::Status WriteFrame(int socket, const google::protobuf::MessageLite& message, uint32_t max = kMaxFrameBytes);
absl::Status ReadFrame(int socket, google::protobuf::MessageLite& message, uint32_t max = kMaxFrameBytes);

}  // namespace sluice

#endif  // SLUICE_CONTROL_WIRE_FRAMING_H_
