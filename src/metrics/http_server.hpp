#pragma once
// A small HTTP server for what others are to read: /metrics, /healthz, /readyz. GET and HEAD only,
// on one thread of its own, with limits on time, size and connections, so that a stranger costs
// little. Built on Boost.Beast. A crash of a connection is its end, nothing more.

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace lockkeeper::metrics {

struct Page {
  int status = 200;
  std::string text;
  std::string type = "text/plain; charset=utf-8";
};

class HttpServer {
 public:
  /// Path to what gives its page; called on the server's thread, and may throw: status 500.
  using Routes = std::map<std::string, std::function<Page()>>;

  /// Listens at "host:port" ("[::1]:9632" too); port 0 picks one. Throws Error when the address is
  /// not one, or is taken.
  HttpServer(const std::string& address, Routes routes);
  /// Ends at once; what is being answered is cut off.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "host:port" with the port that is used.
  [[nodiscard]] const std::string& address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockkeeper::metrics
