"""Employees for tests."""

from kejing.identity.v1 import employee_pb2, employees_service_pb2, employees_service_pb2_grpc
from services.shared.ids import new_id
from tests.support.services import RunningServices


async def new_employee(services: RunningServices, role_key: str, department_id: str = "") -> employee_pb2.Employee:
    """A new employee of the department; of the root of the tree where none is given."""
    stub = await services.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    login = f"e-{str(new_id())[-12:]}"
    request = employees_service_pb2.CreateEmployeeRequest(
        request_id=login, login=login, display_name=login, role_key=role_key, department_id=department_id
    )
    made: employee_pb2.Employee = (await stub.CreateEmployee(request)).employee
    return made
