/* A Modbus TCP meter on libmodbus: input register n holds the high or low word of the float n/2 * 1.5.
   Prints its port, then serves one client after another until it is killed. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(0, 0, 16, 400);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int listener = context ? modbus_tcp_listen(context, 1) : -1;
    if (listener < 0 || map == NULL || getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        fprintf(stderr, "cannot listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    for (int n = 0; n < 400; n += 2) {
        float value = (float)(n / 2 * 1.5);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        map->tab_input_registers[n] = bits >> 16;
        map->tab_input_registers[n + 1] = bits & 0xFFFF;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        int length;
        if (modbus_tcp_accept(context, &listener) < 0)
            return 1;
        while ((length = modbus_receive(context, query)) >= 0)
            modbus_reply(context, query, length, map);
        modbus_close(context);
    }
}
