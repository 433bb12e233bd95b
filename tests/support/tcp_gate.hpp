#pragma once
// Stands between a worker and the server on loopback, and can cut the line at a chosen moment:
// after the server has answered, before the answer is passed on. The network fault of promise 11.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <thread>

namespace lockkeeper::test {

class TcpGate {
 public:
  /// `upstream`: path of the server's unix socket.
  explicit TcpGate(const std::string& upstream);
  ~TcpGate();
  [[nodiscard]] int port() const { return port_; }
  /// The answer to the next COMMIT is swallowed and both sides are closed.
  void cut_next_commit() { armed_ = true; }
  [[nodiscard]] int cuts() const { return cuts_; }

 private:
  struct Line;
  void accept();
  boost::asio::io_context loop_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::string upstream_;
  std::atomic<bool> armed_{false};
  std::atomic<int> cuts_{0};
  int port_ = 0;
  std::thread thread_;
};

}  // namespace lockkeeper::test
