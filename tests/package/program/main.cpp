#include <iostream>
#include <lockkeeper/client/client.hpp>

int main(int argc, char** argv) {
  lockkeeper::client::Client client(lockkeeper::pg::Dsn(argc > 1 ? argv[1] : ""));
  const auto job = client.submit("CREATE TABLE from_a_program (id int)");
  client.wait({job.id}, [](const auto&) { return true; });
  std::cout << client.show(job.id)->at("state") << std::endl;
}
