// SPDX-License-Identifier: Apache-2.0
// OpenDHT among nodes of one process on loopback: values of 1 KiB put and got by turns. Prints one JSON object with the milliseconds of each.
//
//      opendht NODES COUNT
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <opendht.h>

using Clock = std::chrono::steady_clock;

static double ms_since(Clock::time_point start)
{
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

static void list_print(const char *name, const std::vector<double> &values)
{
    std::printf("\"%s\":[", name);
    for (size_t i = 0; i < values.size(); i++) {
        std::printf("%s%.4f", i == 0 ? "" : ",", values[i]);
    }
    std::printf("]");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: opendht NODES COUNT\n");
        return 2;
    }
    size_t nodes = std::strtoul(argv[1], nullptr, 10);
    size_t count = std::strtoul(argv[2], nullptr, 10);
    std::vector<std::unique_ptr<dht::DhtRunner>> all;
    for (size_t i = 0; i < nodes; i++) {
        auto runner = std::make_unique<dht::DhtRunner>();
        dht::DhtRunner::Config config{};
        config.threaded = true;
        config.dht_config.node_config.max_req_per_sec = -1; // else its guard against floods is what is measured
        config.dht_config.node_config.max_peer_req_per_sec = -1;
        runner->run("127.0.0.1", "", "0", config);
        if (i > 0) {
            runner->bootstrap("127.0.0.1", std::to_string(all[0]->getBoundPort()));
        }
        all.push_back(std::move(runner));
    }
    for (auto &runner : all) {
        auto deadline = Clock::now() + std::chrono::seconds(60);
        while (runner->getNodesStats(AF_INET).good_nodes < 8 && Clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    std::vector<double> puts;
    std::vector<double> gets;
    for (size_t i = 0; i < count; i++) {
        auto key = dht::InfoHash::get("bench-" + std::to_string(i));
        std::vector<uint8_t> bytes(1024, (uint8_t) i);
        auto put_done = std::make_shared<std::promise<bool>>();
        auto start = Clock::now();
        all[i % nodes]->put(key, std::make_shared<dht::Value>(bytes),
                            [put_done](bool is_done) { put_done->set_value(is_done); });
        if (!put_done->get_future().get()) {
            std::fprintf(stderr, "opendht: a put failed\n");
            return 1;
        }
        puts.push_back(ms_since(start));
        auto found = std::make_shared<std::promise<bool>>();
        auto is_told = std::make_shared<bool>(false);
        auto tell = [found, is_told](bool is_found) {
            if (!*is_told) {
                *is_told = true;
                found->set_value(is_found);
            }
        };
        start = Clock::now();
        all[(i * 7 + 3) % nodes]->get(
            key,
            [tell](const std::vector<std::shared_ptr<dht::Value>> &) {
                tell(true);
                return false;
            },
            [tell](bool) { tell(false); });
        if (!found->get_future().get()) {
            std::fprintf(stderr, "opendht: a get found nothing\n");
            return 1;
        }
        gets.push_back(ms_since(start));
    }
    std::printf("{");
    list_print("put_ms", puts);
    std::printf(",");
    list_print("get_ms", gets);
    std::printf("}\n");
    std::fflush(stdout);
    std::_Exit(0); // joining fifty nodes takes longer than all else
}
