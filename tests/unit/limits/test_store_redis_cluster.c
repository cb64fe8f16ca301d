/* test_store_redis_cluster.c - the suite that every store passes, in Redis as a Cluster. */
#include "limits/redis_store/redis_suite.h"

int main(int argc, char **argv)
{
    return redis_suite_main(REDIS_CLUSTER, "suite: redis as a cluster", argc, argv);
}
