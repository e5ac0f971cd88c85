#include "dataplane/process/handoff_fabric.h"

#include <algorithm>

namespace sluice {
namespace {

bool Contains(const std::vector<Lane*>& lanes, const Lane* lane) {
  return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
}

}  // namespace

void HandoffFabric::Connect(const std::vector<Lane*>& lanes, const TransmitLanes& by) {
  ConnectToKernel(lanes);
  std::vector<Lane*> sources;
  std::vector<Lane*> destinations;
  for (Lane* lane : lanes) {
    const bool is_destination = by.count == 0 || lane->index() < by.count;
    if (is_destination) {
      destinations.push_back(lane);
    }
    if (!is_destination || (by.every_lane && by.count > 1)) {
      sources.push_back(lane);
    }
  }
  const std::vector<Way> fresh = MakeRings(sources, destinations);
  // Destinations listen before a source speaks.
  for (Lane* lane : destinations) {
    worker_pool_.RunFor(*lane, [&] {
      for (const auto& [source, destination] : fresh) {
        if (destination == lane) {
          lane->transit().inbox().Attach(source->index(), rings_.at({source, lane}).get());
        }
      }
      if (!Contains(sources, lane)) {
        lane->transit().TransmitByHandoff(0, /*probe=*/false);
      }
    });
  }
  for (Lane* lane : sources) {
    worker_pool_.RunFor(*lane, [&] {
      for (const auto& [source, destination] : fresh) {
        if (source == lane) {
          lane->transit().outbox().Attach(destination->index(), rings_.at({lane, destination}).get(),
                                          &destination->transit().inbox());
        }
      }
      lane->transit().TransmitByHandoff(by.count, by.probe);
    });
  }
}

// Makes the rings that are missing, and returns their ways.
std::vector<HandoffFabric::Way> HandoffFabric::MakeRings(const std::vector<Lane*>& sources,
                                                         const std::vector<Lane*>& destinations) {
  std::vector<Way> fresh;
  for (Lane* source : sources) {
    for (Lane* destination : destinations) {
      if (source != destination && !rings_.contains({source, destination})) {
        rings_[{source, destination}] = std::make_unique<HandoffRing>();
        fresh.emplace_back(source, destination);
      }
    }
  }
  return fresh;
}

void HandoffFabric::ConnectToKernel(const std::vector<Lane*>& lanes) {
  const auto bridge =
      std::find_if(lanes.begin(), lanes.end(), [](const Lane* lane) { return lane->index() == kBridgeLane; });
  if (bridge == lanes.end()) {
    return;
  }
  for (Lane* source : lanes) {
    if (source == *bridge) {
      continue;
    }
    auto [ring, made] = rings_.try_emplace({source, *bridge});
    if (!made) {
      continue;
    }
    ring->second = std::make_unique<HandoffRing>();
    HandoffRing* const fresh = ring->second.get();
    worker_pool_.RunFor(**bridge, [&] { (*bridge)->kernel_path().inbox().Attach(source->index(), fresh); });
    worker_pool_.RunFor(*source, [&] { source->kernel_path().Connect(*fresh, (*bridge)->kernel_path().inbox()); });
  }
}

void HandoffFabric::Close(Lane& source, Lane& destination) {
  if (!rings_.contains({&source, &destination})) {
    return;
  }
  worker_pool_.RunFor(source, [&] {
    if (destination.index() == kBridgeLane) {
      source.kernel_path().Close();
    } else {
      source.transit().outbox().Close(destination.index());
    }
  });
}

void HandoffFabric::Disconnect(Lane& source, Lane& destination) {
  const auto ring = rings_.find({&source, &destination});
  if (ring == rings_.end()) {
    return;
  }
  Close(source, destination);
  worker_pool_.RunFor(destination, [&] { destination.DrainInbox(source.index()); });
  worker_pool_.RunFor(source, [&] {
    if (destination.index() == kBridgeLane) {
      source.kernel_path().Disconnect();
    } else {
      source.transit().ForgetDestination(destination.index());
    }
  });
  rings_.erase(ring);
}

}  // namespace sluice
