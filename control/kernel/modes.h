// The modes in which packets come into the dataplane's memory: as the configuration asks for them, and as the kernel
// grants them.
//
//   setting    XDP is attached             a lane's sockets are bound
//   auto       natively, else as skb       zero-copy, else copy
//   zerocopy   natively                    zero-copy
//   copy       natively                    copy
//   skb        as skb (generic XDP)        copy
//
// Pure; any thread.
#ifndef SLUICE_CONTROL_KERNEL_MODES_H_
#define SLUICE_CONTROL_KERNEL_MODES_H_

namespace sluice {

// `mode` of [dataplane].
enum class ModeSetting { kAuto, kZeroCopy, kCopy, kSkb };

// The mode in which a program is attached to a device.
enum class XdpMode { kNative, kSkb };

// The mode in which a lane's sockets are bound. kSkb: they copy, and XDP runs in skb mode.
enum class XskMode { kZeroCopy, kCopy, kSkb };

// Returns the mode to attach XDP in; of kAuto the one to try first.
XdpMode FirstXdpMode(ModeSetting setting);
// Tells whether skb mode will do where native XDP is refused.
bool TakesSkbMode(ModeSetting setting);

// "native", "skb".
const char* Name(XdpMode mode);
// "zerocopy", "copy", "skb".
const char* Name(XskMode mode);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_MODES_H_
