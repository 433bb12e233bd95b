#include "base/testpoint.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <utility>

namespace lockkeeper::testpoint {
namespace {

struct Order {
  std::string name;
  int signal = 0;
  int at = 1;
};

std::optional<Order> order_from_environment() {
  const char* text = std::getenv("LOCKKEEPER_TESTPOINT");
  if (text == nullptr) return std::nullopt;
  const std::string order(text);
  const auto equals = order.find('=');
  if (equals == std::string::npos) return std::nullopt;
  const auto at = order.find('@', equals);
  const std::string what = order.substr(equals + 1, at - equals - 1);
  const int count = at == std::string::npos ? 1 : std::atoi(order.c_str() + at + 1);
  return Order{order.substr(0, equals), what == "stop" ? SIGSTOP : SIGKILL, count};
}

std::atomic<bool> hooked{false};
std::mutex mutex;
std::function<void(const std::string&)> hook;  // guarded by mutex

const std::optional<Order>& order_given() {
  static const std::optional<Order> order = order_from_environment();
  return order;
}

}  // namespace

bool armed() { return order_given().has_value() || hooked.load(std::memory_order_relaxed); }

void reach(const char* name) {
  const std::optional<Order>& order = order_given();
  static std::atomic<int> arrivals{0};
  if (order && order->name == name && ++arrivals == order->at) {
    // To this very thread: it must not run on while another thread takes the signal.
    (void)raise(order->signal);
  }
  if (!hooked.load(std::memory_order_relaxed)) return;
  std::function<void(const std::string&)> call;
  {
    const std::lock_guard lock(mutex);
    call = hook;
  }
  if (call) call(name);
}

void set_hook(std::function<void(const std::string&)> wanted) {
  const std::lock_guard lock(mutex);
  hooked = static_cast<bool>(wanted);
  hook = std::move(wanted);
}

}  // namespace lockkeeper::testpoint
