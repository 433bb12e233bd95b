#include "support/tcp_gate.hpp"

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

namespace lockkeeper::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using Local = asio::local::stream_protocol;

struct TcpGate::Line : std::enable_shared_from_this<Line> {
  Line(TcpGate& owner, tcp::socket accepted)
      : gate(owner), client(std::move(accepted)), server(owner.loop_) {}

  void begin() {
    server.connect(Local::endpoint(gate.upstream_));
    from_client();
    from_server();
  }

  void from_client() {
    client.async_read_some(
        asio::buffer(up), [self = shared_from_this()](auto failed, std::size_t n) {
          if (failed) return self->close();
          const std::string_view sent(self->up.data(), n);
          if (sent.find("COMMIT") != std::string_view::npos && self->gate.armed_.exchange(false))
            self->swallow = true;
          boost::system::error_code broken;
          asio::write(self->server, asio::buffer(self->up, n), broken);
          if (broken) return self->close();
          self->from_client();
        });
  }

  void from_server() {
    server.async_read_some(asio::buffer(down),
                           [self = shared_from_this()](auto failed, std::size_t n) {
                             if (failed) return self->close();
                             if (self->swallow) {
                               ++self->gate.cuts_;
                               return self->close();
                             }
                             boost::system::error_code broken;
                             asio::write(self->client, asio::buffer(self->down, n), broken);
                             if (broken) return self->close();
                             self->from_server();
                           });
  }

  void close() {
    boost::system::error_code ignored;
    // Processes that were started meanwhile have copies of the descriptors.
    client.shutdown(tcp::socket::shutdown_both, ignored);
    server.shutdown(Local::socket::shutdown_both, ignored);
    client.close(ignored);
    server.close(ignored);
  }

  TcpGate& gate;
  tcp::socket client;
  Local::socket server;
  std::array<char, 65536> up{};
  std::array<char, 65536> down{};
  bool swallow = false;
};

TcpGate::TcpGate(const std::string& upstream)
    : acceptor_(loop_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), upstream_(upstream) {
  port_ = acceptor_.local_endpoint().port();
  accept();
  thread_ = std::thread([this] { loop_.run(); });
}

TcpGate::~TcpGate() {
  loop_.stop();
  thread_.join();
}

void TcpGate::accept() {
  acceptor_.async_accept([this](auto failed, tcp::socket socket) {
    if (failed) return;
    std::make_shared<Line>(*this, std::move(socket))->begin();
    accept();
  });
}

}  // namespace lockkeeper::test
