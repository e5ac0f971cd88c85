#include "control/kernel/progress.h"

namespace sluice {
namespace {

void (*told)() = nullptr;

}  // namespace

void NoteProgress() {
  if (told != nullptr) {
    told();
  }
}

void OnProgress(void (*listener)()) {
  told = listener;
}

}  // namespace sluice
