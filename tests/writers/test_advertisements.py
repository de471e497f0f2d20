"""Advertisements as people paste them: HTML, lists, benefits, five languages, and words that only look like technologies."""

from __future__ import annotations

from typing import Any

import pytest

from recruiter.errors import DataError
from recruiter.roles.completing import complete_role
from recruiter.roles.languages import LANGUAGES, detect_language
from recruiter.writers.advertisements import read_advertisement
from tests.fake_judge import FakeJudge
from tests.fake_judge.server import PARTS
from tests.writers.conftest import MakeWriter

READS = "You read job advertisements"
ADS = {
    "en": """We are hiring!
Acme is looking for a Senior Backend Engineer (m/f/d)

About us
Acme makes rockets. We React to incidents together, value Swift delivery, and our offices are in the Rust belt.

Your responsibilities:
- Own the payment ledger in Java and keep Kafka consumers idempotent
- Reconcile settlement files every night

What we offer
- 30 days of vacation
- Free fruit and a company car""",
    "de": """Stellenanzeige
Wir suchen: Erfahrene Softwareentwicklerin (m/w/d)

Deine Aufgaben
- Entwicklung der Auftragsverwaltung mit Java und Spring Boot
- Betrieb von PostgreSQL und Kubernetes

Wir bieten
- 30 Tage Urlaub und einen Obstkorb""",
    "es": """Desarrollador Backend Sénior
Requisitos
- Experiencia con Python y PostgreSQL para los servicios de la empresa
Ofrecemos
- 25 días de vacaciones""",
    "fr": """Développeur Backend confirmé (H/F)
Vos missions
- Développer les services de paiement avec Java et Kafka pour nos clients
Nous offrons
- Des tickets restaurant et une mutuelle""",
    "zh": """高级后端工程师
岗位职责
- 负责使用 Go 和 Kafka 开发支付系统
福利待遇
- 五险一金，带薪年假""",
}


@pytest.mark.parametrize(
    ("language", "title", "stack"),
    [
        ("en", "Senior Backend Engineer", ("Java", "Kafka")),
        ("de", "Erfahrene Softwareentwicklerin", ("Java", "Spring Boot", "PostgreSQL", "Kubernetes")),
        ("es", "Desarrollador Backend Sénior", ("Python", "PostgreSQL")),
        ("fr", "Développeur Backend confirmé", ("Java", "Kafka")),
        ("zh", "高级后端工程师", ("Go", "Kafka")),
    ],
)
def test_title_level_and_stack_are_found_and_benefits_left_out(
    language: str, title: str, stack: tuple[str, ...]
) -> None:
    found = complete_role({"description": ADS[language]})
    assert (found.role.title, found.role.level, found.role.stack) == (title, "senior", stack)
    assert detect_language(found.role.description) == language
    for benefit in ("vacation", "fruit", "Urlaub", "vacaciones", "mutuelle", "五险一金", "rockets"):
        assert benefit not in found.role.description
    assert any(text.startswith("left out ") for text in found.assumed)


@pytest.mark.parametrize(
    ("text", "stack"),
    [
        ("You write Swift every day.", ("Swift",)),
        ("You use Go, Rust and Helm on Kubernetes.", ("Go", "Rust", "Helm", "Kubernetes")),
        ("Our React components talk to Node services.", ("React", "Node.js")),
        ("- Rust\n- React", ("Rust", "React")),
        ("You Go to customers, React to incidents and Express ideas; we write Python.", ("Python",)),
        ("At Acme, we rely on Python. The Oracle of our Delta team is in the Rust belt.", ("Python",)),
        (
            "Angular, Vue and Selenium; Postgres and Spark.",
            ("Angular", "Vue", "Selenium", "PostgreSQL", "Apache Spark"),
        ),
        ("You issue certificates with ACME and SPIFFE, in Go.", ("ACME", "SPIFFE", "Go")),
    ],
)
def test_words_are_technologies_only_in_company(text: str, stack: tuple[str, ...]) -> None:
    assert complete_role({"title": "Engineer", "description": text}).role.stack == stack


def test_html_becomes_text() -> None:
    html = (
        "<html><head><style>p {color: red}</style></head><body><h1>Data Engineer</h1><p>We use <b>Spark</b>, Airflow &amp; "
        "dbt.</p><ul><li>Build pipelines</li><li><p>Watch them</p></li></ul><script>alert(1)</script></body></html>"
    )
    role = complete_role({"description": html}).role
    assert role.title == "Data Engineer"
    assert role.description == "Data Engineer\n\nWe use Spark, Airflow & dbt.\n\n- Build pipelines\n\n- Watch them"
    assert complete_role({"title": "E", "description": "If a < b and c > d, use Go."}).role.description.startswith(
        "If a < b"
    )


WORK = "\nHamburg, full-time\n\nYour tasks\n- Run Kafka and Go services"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Careers\nJobs\nLogin\nBack to all jobs\n\nData Engineer, Billing", "Data Engineer, Billing"),
        ("Careers / Jobs / Login / Back to all jobs\nData Engineer", "Data Engineer"),
        ("Skip to main content\nHome > Careers > Engineering\nAcme Ltd.\nStaff SRE - Search", "Staff SRE - Search"),
        ("Home > Careers > Senior Data Engineer", "Senior Data Engineer"),
        ("Startseite › Karriere › IT\nJobs | Über uns | Anmelden\nStadtwerke GmbH\nDatenbankadministratorin (m/w/d)",
         "Datenbankadministratorin"),
        ("Inicio » Empleos\nIniciar sesión\nIngeniera de Datos Sénior", "Ingeniera de Datos Sénior"),
        ("Accueil › Offres d'emploi\nSe connecter\nIngénieur Data (H/F)", "Ingénieur Data"),
        ("首页 > 招聘 > 技术\n登录\n高级数据工程师", "高级数据工程师"),
        ("Mission Control Engineer", "Mission Control Engineer"),
    ],
)  # fmt: skip
def test_menus_trails_and_companies_are_no_title(text: str, title: str) -> None:
    found = complete_role({"description": f"{text}\n{WORK}"})
    assert found.role.title == title
    assert not any(each.startswith("title ") for each in found.assumed)


def test_what_html_marks_is_the_title_and_its_menus_are_left_out() -> None:
    page = (
        "<html><head><title>{title}</title></head><body><nav>Home &gt; Careers &gt; Engineering</nav><header>"
        "<a>Chargeloop</a>{h1}</header><p>We run Kafka and Go.</p><footer>Imprint | Jobs</footer></body></html>"
    )
    name = "Senior Site Reliability Engineer"
    for marks in (
        {"title": "Chargeloop", "h1": f"<h1><b>{name}</b> (f/m/x)</h1>"},
        {"title": f"{name} | Chargeloop", "h1": ""},
    ):
        role = complete_role({"description": page.format(**marks)}).role
        assert (role.title, role.level) == (name, "senior")
        assert "Careers" not in role.description
        assert "Imprint" not in role.description


def test_a_title_that_does_not_read_like_one_is_said_to_be_assumed() -> None:
    found = complete_role({"description": f"Keeper of the Queues\n{WORK}"})
    assert found.role.title == "Keeper of the Queues"
    assert "title Keeper of the Queues" in found.assumed


REQUIRED = """Platform Engineer, Charging
{tasks}
- Run OCPP over WebSocket on Kubernetes with Terraform, Argo CD and Docker
{must}
- Go, Python
- Prometheus, Grafana: error budgets, latency percentiles
- Kafka: consumer lag, partition rebalancing
- PostgreSQL: replication
{nice}
- Rust, Envoy"""


@pytest.mark.parametrize(
    ("tasks", "must", "nice"),
    [
        ("What you will do", "Requirements:", "Nice to have"),
        ("Deine Aufgaben", "Dein Profil", "Von Vorteil:"),
        ("Tus funciones", "Requisitos", "Se valorará"),
        ("Vos missions", "Votre profil", "Serait un plus"),
        ("岗位职责", "任职要求", "加分项"),
    ],
)
def test_the_stack_is_what_is_required_and_what_is_left_out_is_said(tasks: str, must: str, nice: str) -> None:
    found = complete_role({"description": REQUIRED.format(tasks=tasks, must=must, nice=nice)})
    assert set(found.role.stack) == {"Go", "Python", "Prometheus", "Grafana", "Kafka", "PostgreSQL"}
    (said,) = (each for each in found.assumed if each.startswith("stack "))
    assert said.index("left out") < said.index("OCPP") < said.index("Kubernetes") < said.index("Rust")


def test_without_requirements_what_is_named_most_comes_first() -> None:
    text = "Engineer\nRedis, MySQL, Docker, Jenkins, Datadog, Grafana and Kafka.\nKafka is what you will work on."
    assert complete_role({"description": text}).role.stack[0] == "Kafka"


def test_skills_are_words_of_the_advertisement() -> None:
    found = complete_role(
        {"description": REQUIRED.format(tasks="Your tasks", must="Requirements", nice="Nice to have")}
    )
    assert found.role.key_skills
    assert all(skill in found.role.description for skill in found.role.key_skills)
    assert "partition rebalancing" in " ".join(found.role.key_skills)


def test_a_long_advertisement_is_read_to_its_end_and_what_is_cut_is_said() -> None:
    filler = "We care for quality in everything that we do here. " * 390
    found = complete_role({"description": f"Platform Engineer\n{filler[:19000]}\nYou know Kafka."})
    assert found.role.stack == ("Kafka",)
    assert any("first 4,000 letters of the description" in text for text in found.assumed)
    found = complete_role({"description": f"Platform Engineer\nYou know Kafka.\n{filler * 2}"})
    assert any("first 20,000 letters of the advertisement" in text for text in found.assumed)


NURSE = (
    "Pflegefachkraft\nDu übernimmst die Wundversorgung und die Dokumentation auf der Station und bist für Patienten da."
)


def test_a_role_outside_technology_is_read_by_the_model_said_to_be_outside_and_tried(
    api_writer: MakeWriter,
    server: FakeJudge,
) -> None:
    writer = api_writer()
    found = complete_role({"description": NURSE}, read=lambda text: read_advertisement(writer, text))
    assert (found.role.title, found.role.stack, found.role.key_skills) == (
        "Pflegefachkraft",
        ("Wundversorgung",),
        ("Dokumentation",),
    )
    assert any("outside technology" in text for text in found.assumed)
    other = complete_role(
        {"description": "Nurse\nCare for people."}, read=lambda text: read_advertisement(writer, text)
    )
    assert other.role.stack == ("Nurse",)
    with pytest.raises(DataError, match="no stack"):
        complete_role({"description": NURSE})


def test_what_the_model_invents_is_not_taken(api_writer: MakeWriter, server: FakeJudge) -> None:
    server.parts[READS] = {
        **PARTS[READS],
        "title": "Chefarzt",
        "stack": ["Kubernetes", "Wundversorgung"],
        "level": "senior",
    }
    read = read_advertisement(api_writer(), NURSE)
    assert read == {"level": "senior", "is_technical": False, "stack": ["Wundversorgung"], "skills": ["Dokumentation"]}


def test_a_model_that_cannot_read_it_is_named_in_the_refusal(api_writer: MakeWriter, server: FakeJudge) -> None:
    server.parts[READS] = {"title": 3}
    writer = api_writer()
    with pytest.raises(DataError, match=r"no stack.*could not read the advertisement"):
        complete_role({"description": NURSE}, read=lambda text: read_advertisement(writer, text))


def test_the_model_is_asked_only_for_what_the_rules_do_not_know() -> None:
    def read(text: str) -> dict[str, Any]:
        raise AssertionError("nothing is missing")

    fields = {"title": "Engineer", "stack": "Go", "skills": "leases", "description": "Keep it running. " * 40}
    assert complete_role(fields, read=read).role.stack == ("Go",)
    assert complete_role({"title": "Engineer", "description": "Writes Go."}, read=read).role.key_skills == ("Go",)
    assert complete_role({"title": "Engineer", "stack": "Go"}, read=read).role.key_skills == ("Go",)


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_told_apart(language: str) -> None:
    assert detect_language(ADS[language]) == language
