"""Who works in the demonstration: invented people, in two regions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Department:
    """`parent` is another department's name; empty for one at the top."""

    name: str
    parent: str = ""


@dataclass(frozen=True)
class Employee:
    """`role`: the key of one of the ready-made roles."""

    login: str
    name: str
    role: str
    department: str
    leads: bool = False


SUCCESS, EAST, WEST = "客户成功部 Customer Success", "华东区 East", "华西区 West"
SHANGHAI = "上海组 Shanghai"

DEPARTMENTS = (Department(SUCCESS), Department(EAST, SUCCESS), Department(SHANGHAI, EAST), Department(WEST, SUCCESS))

TEAM = (
    Employee("manager.east", "陈静", "MANAGER", EAST, leads=True),
    Employee("csm.li", "李娜", "CSM", SHANGHAI),
    Employee("csm.wang", "王强", "CSM", SHANGHAI),
    Employee("analyst.sun", "孙悦", "ANALYST", EAST),
    Employee("sales.zhou", "周明", "SALES", EAST),
    Employee("manager.west", "Grace Miller", "MANAGER", WEST, leads=True),
    Employee("csm.smith", "Emma Smith", "CSM", WEST),
    Employee("csm.zhao", "赵敏", "CSM", WEST),
    Employee("analyst.brown", "Oliver Brown", "ANALYST", WEST),
    Employee("sales.jones", "Mia Jones", "SALES", WEST),
    Employee("data.lin", "林晓", "DATA_ANALYST", SUCCESS),
)
