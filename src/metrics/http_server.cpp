#include "metrics/http_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>
#include <list>
#include <optional>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"

namespace lockkeeper::metrics {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr std::chrono::seconds kIdleMost{30};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::uint32_t kHeaderMost = 8192;
constexpr int kConnectionsMost = 64;

using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

Page page_for(const HttpServer::Routes& routes, const Request& request) {
  if (request.method() != http::verb::get && request.method() != http::verb::head)
    return {405, "only GET and HEAD\n"};
  std::string path(request.target().data(), request.target().size());
  path.erase(std::min(path.find('?'), path.size()));
  const auto found = routes.find(path);
  if (found == routes.end()) {
    std::string known;
    for (const auto& [route, page] : routes) known += route + "\n";
    return {path == "/" ? 200 : 404, known};
  }
  try {
    return found->second();
  } catch (const std::exception& error) {
    log::error("page failed", {{"path", path}, {"reason", error.what()}});
    return {500, "failed, see the log\n"};
  }
}

// One connection: request, response, and again. Owned by its pending operation.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpServer::Routes& routes)
      : stream_(std::move(socket)), routes_(routes) {}
  void close() { stream_.close(); }

  void read() {
    parser_.emplace();
    parser_->header_limit(kHeaderMost);
    stream_.expires_after(kIdleMost);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](const beast::error_code& failed, std::size_t) {
          if (!failed) return self->answer();
          // It went away, or was silent for too long: there is nobody to be told.
          if (failed.category() == asio::error::get_system_category() ||
              failed == beast::error::timeout || failed == http::error::end_of_stream)
            return;
          self->send({400, "not a request that is understood here\n"}, 11, false, false);
        });
  }

 private:
  void answer() {
    const auto& request = parser_->get();
    send(page_for(routes_, request), request.version(), request.keep_alive(),
         request.method() == http::verb::head);
  }

  void send(Page page, unsigned version, bool keep_alive, bool head) {
    response_ = Response(static_cast<http::status>(page.status), version);
    response_.set(http::field::server, "lockkeeper");
    response_.set(http::field::content_type, page.type);
    response_.set(http::field::cache_control, "no-store");
    response_.keep_alive(keep_alive);
    response_.body() = std::move(page.text);
    response_.prepare_payload();
    // Of HEAD, the header alone goes out, with the length that the body would have.
    if (head) response_.body().clear();
    stream_.expires_after(kIdleMost);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](const beast::error_code& failed, std::size_t) {
                        if (!failed && self->response_.keep_alive()) self->read();
                      });
  }

  beast::tcp_stream stream_;
  const HttpServer::Routes& routes_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
};

}  // namespace

struct HttpServer::Impl {
  explicit Impl(Routes those) : routes(std::move(those)) {}

  Routes routes;
  asio::io_context loop{1};
  tcp::acceptor acceptor{loop};
  asio::steady_timer pause{loop};
  std::list<std::weak_ptr<Connection>> connections;
  std::string address;
  std::thread thread;

  void accept() {
    acceptor.async_accept([this](const beast::error_code& failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted) return;
      if (failed) {
        // No descriptors are left, perhaps: to try again at once would only burn time.
        pause.expires_after(kAcceptPause);
        pause.async_wait([this](const beast::error_code& ended) {
          if (!ended) accept();
        });
        return;
      }
      make_room();
      auto connection = std::make_shared<Connection>(std::move(socket), routes);
      connections.push_back(connection);
      connection->read();
      accept();
    });
  }

  // Who asks is not to wait for those who came before him and are silent: the oldest goes.
  void make_room() {
    connections.remove_if([](const auto& connection) { return connection.expired(); });
    while (static_cast<int>(connections.size()) >= kConnectionsMost) {
      if (const auto oldest = connections.front().lock()) oldest->close();
      connections.pop_front();
    }
  }
};

HttpServer::HttpServer(const std::string& address, Routes routes)
    : impl_(std::make_unique<Impl>(std::move(routes))) {
  try {
    const auto colon = address.rfind(':');
    if (colon == std::string::npos) throw std::invalid_argument("not host:port");
    const std::string shown = address.substr(0, colon);
    std::string host = shown;
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
      host = host.substr(1, host.size() - 2);
    const auto found = tcp::resolver(impl_->loop)
                           .resolve(host.empty() ? "0.0.0.0" : host, address.substr(colon + 1),
                                    tcp::resolver::passive | tcp::resolver::numeric_service);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    impl_->acceptor.open(endpoint.protocol());
    impl_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    impl_->acceptor.bind(endpoint);
    impl_->acceptor.listen();
    impl_->address = shown + ":" + std::to_string(impl_->acceptor.local_endpoint().port());
  } catch (const std::exception& error) {
    throw Error(Retry::never, "cannot serve metrics at " + address + ": " + error.what());
  }
  impl_->accept();
  impl_->thread = std::thread([impl = impl_.get()] { impl->loop.run(); });
}

HttpServer::~HttpServer() {
  impl_->loop.stop();
  impl_->thread.join();
}

const std::string& HttpServer::address() const { return impl_->address; }

}  // namespace lockkeeper::metrics
