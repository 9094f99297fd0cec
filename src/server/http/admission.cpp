#include "server/http/admission.h"

namespace qwen3::server {

Admission::Verdict Admission::admit(const SocketAddress& remote) {
  const std::lock_guard lock(mutex_);
  bool fits = n_served_ < limits_.connections;
  if (fits && !remote.loopback) {
    const auto found = per_network_.find(remote.network());
    fits = found == per_network_.end() || found->second < limits_.connections_per_address;
  }
  if (!fits) {
    if (n_refused_ >= limits_.refused_connections) return Verdict::drop;
    ++n_refused_;
    return Verdict::refuse;
  }
  if (!remote.loopback) ++per_network_[remote.network()];  // first: this may throw
  ++n_served_;
  return Verdict::serve;
}

void Admission::release(const SocketAddress& remote, Verdict verdict) noexcept {
  SocketAddress::NetworkText space;
  {
    const std::lock_guard lock(mutex_);
    if (verdict == Verdict::refuse) --n_refused_;
    if (verdict == Verdict::serve) {
      --n_served_;
      if (!remote.loopback) {
        const auto found = per_network_.find(remote.network(space));
        if (found != per_network_.end() && --found->second == 0) per_network_.erase(found);
      }
    }
  }
  changed_.notify_all();
}

int Admission::open() const {
  const std::lock_guard lock(mutex_);
  return n_served_;
}

}  // namespace qwen3::server
