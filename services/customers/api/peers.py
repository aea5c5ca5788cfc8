"""The other services, asked with the caller's own token: what they answer is what they would show that caller."""

from typing import Any

from kejing.health.v1 import alerts_service_pb2_grpc, health_service_pb2_grpc, metrics_service_pb2_grpc
from kejing.revenue.v1 import orders_service_pb2_grpc, revenue_service_pb2_grpc
from kejing.tasks.v1 import follow_ups_service_pb2_grpc, process_records_service_pb2_grpc, tasks_service_pb2_grpc


class Peers:
    """Stubs of the services that know more of a customer. Each takes a channel whose calls carry the present caller's
    token (services.shared.rpc.client.Forwarding), and are made while a call is answered only.
    """

    def __init__(self, tasks: Any, health: Any, revenue: Any) -> None:
        self.tasks = tasks_service_pb2_grpc.TasksServiceStub(tasks)
        self.processes = process_records_service_pb2_grpc.ProcessRecordsServiceStub(tasks)
        self.follow_ups = follow_ups_service_pb2_grpc.FollowUpsServiceStub(tasks)
        self.health = health_service_pb2_grpc.HealthServiceStub(health)
        self.metrics = metrics_service_pb2_grpc.MetricsServiceStub(health)
        self.alerts = alerts_service_pb2_grpc.AlertsServiceStub(health)
        self.orders = orders_service_pb2_grpc.OrdersServiceStub(revenue)
        self.revenue = revenue_service_pb2_grpc.RevenueServiceStub(revenue)
