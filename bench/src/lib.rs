//! Compares event hubs on one tweet-sentiment workload: latency, throughput, order, delivery.
