"""The builder and its lints, on a small lab of their own."""

import nbformat
import pytest

from lablib.errors import GradingError
from lablib.grading.build import build, outdated, release, solution, stub, text
from lablib.grading.copies import find, labs, reset, take
from lablib.grading.lint import problems
from lablib.grading.progress import Store

LAB = '''# %% [markdown]
# # 07 · A sample
# ![A box with one pod in it](box.svg) and a [link](box.svg)

# %%
check = None

# %% exercise="1.1"
def double(number):
    """Twice the number."""
    ### BEGIN SOLUTION
    secret_result = number + number
    return secret_result
    ### END SOLUTION

# %% check="1.1" points=3
check.e1_1(double)

# %% [markdown] reflect="1.2" points=2
# A good answer about doubling things.
'''


@pytest.fixture
def course(tmp_path):
    return write(tmp_path, LAB)


def write(root, content):
    folder = root / "solutions" / "07-sample"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "07-sample.py").write_text(content)
    (folder / "box.svg").write_text("<svg/>")
    return root


def source(root):
    return root / "solutions" / "07-sample" / "07-sample.py"


def cells(notebook):
    return {cell.id: cell for cell in notebook.cells}


def test_a_learner_gets_signature_docstring_and_a_raise(course):
    found = cells(release(source(course)))
    assert found["exercise-1-1"].source.splitlines()[2:] == [
        '    raise NotImplementedError("your turn: 1.1")'
    ]
    assert found["grade-1-1"].source == "# For graders: 1.1, 3 points. Leave this cell as it is."
    assert found["reflect-1-2"].source == "*Your answer here.*"
    assert "secret_result" not in text(release(source(course)))


def test_the_instructor_gets_answers_and_tests(course):
    found = cells(solution(source(course)))
    assert "secret_result" in found["exercise-1-1"].source
    assert 'grade("07-sample", "1.1", double, 3)' in found["grade-1-1"].source
    assert found["grade-1-1"].metadata.nbgrader == {
        "grade": True,
        "grade_id": "grade-1-1",
        "locked": True,
        "points": 3,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    assert found["reflect-1-2"].metadata.nbgrader.points == 2


def test_two_builds_are_the_same_to_the_byte(course):
    assert text(release(source(course))) == text(release(source(course)))
    nbformat.validate(nbformat.reads(text(release(source(course))), as_version=4))


def test_labs_are_built_and_seen_to_be_out_of_date(course):
    folders = (course / "solutions", course / "labs")
    assert len(outdated(*folders)) == 2
    (path,) = build(*folders)
    assert outdated(*folders) == ()
    path.write_text(path.read_text().replace("Twice", "Thrice"))
    assert outdated(*folders) == (path,)
    build(*folders)
    stray = path.with_name("stray.ipynb")
    stray.write_text("{}")
    assert outdated(*folders) == (stray,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lab: lab.replace("### BEGIN SOLUTION", "pass"), "has no ### BEGIN SOLUTION"),
        (lambda lab: lab.replace("### END SOLUTION", "pass"), "has no ### END SOLUTION"),
        (lambda lab: lab.replace(" points=3", ""), "check of 1.1 has no points"),
        (lambda lab: lab.replace("points=2", "points=0"), "reflect of 1.2 has no points"),
        (lambda lab: lab.replace("e1_1(double)", "e2_2(double)"), "doesn't call check.e1_1"),
    ],
)
def test_a_source_that_breaks_the_format_is_refused(course, change, words):
    write(course, change(LAB))
    with pytest.raises(GradingError, match=words):
        release(source(course))


def test_the_stub_keeps_the_indentation():
    code = (
        "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n"
    )
    assert '        raise NotImplementedError("your turn: 2.3")' in stub(code, "2.3", "x")


def lint(root, change=lambda notebook: None):
    built = release(source(root))
    change(built)
    there = (root / "solutions" / "07-sample" / "box.svg").name
    return list(problems(built, solution(source(root)), lambda target: target == there))


def edit(name, old, new):
    def change(notebook):
        cell = cells(notebook)[name]
        cell.source = cell.source.replace(old, new)

    return change


def test_a_clean_lab_has_no_problems(course):
    assert lint(course) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit("c001", "None", "None  # secret_result = number + number"), "the answer leaks"),
        (edit("exercise-1-1", "number)", "n)"), "differ in signature"),
        (edit("exercise-1-1", "Twice", "Half"), "differ in signature"),
        (edit("c000", "link](box.svg)", "link](gone.ipynb)"), "dead link: gone.ipynb"),
        (edit("c000", "![A box with one pod in it]", "![]"), "no text alternative"),
        (edit("c000", "# 07", '<img src="box.svg">'), "an image as HTML"),
        (edit("grade-1-1", "For graders", "### BEGIN HIDDEN TESTS"), "BEGIN HIDDEN TESTS is there"),
        (lambda notebook: cells(notebook)["c001"].update(execution_count=1), "has an output"),
        (lambda notebook: cells(notebook)["c001"].update(id="c000"), "is there 2 times"),
    ],
)
def test_each_problem_is_found(course, change, words):
    assert any(words in problem for problem in lint(course, change))


def test_a_copy_is_taken_once_and_a_reset_keeps_it(course):
    build(course / "solutions", course / "labs")
    lab = find("7", course)
    assert (lab.title, lab.begun) == ("A sample", False)
    assert take(lab) == ""
    lab.copy.write_text("mine")
    assert take(lab) == ""
    assert lab.copy.read_text() == "mine"
    Store(lab.copy.parent).update(lambda progress: progress.passing("1.1"))
    assert lab.progress.passed == ("1.1",)

    lab.released.write_text(lab.released.read_text() + "\n")
    assert "has changed since" in take(lab)
    first = reset(lab)
    assert (first / lab.copy.name).read_text() == "mine"
    assert lab.copy.read_text() == lab.released.read_text()
    assert lab.progress.passed == ()
    assert reset(lab) != first
    assert (lab.copy.parent / "box.svg").exists()


def test_a_lab_that_is_not_there_is_named(course):
    build(course / "solutions", course / "labs")
    with pytest.raises(GradingError, match="no lab 42") as caught:
        find("42", course)
    assert "07" in caught.value.remedy
    assert [lab.number for lab in labs(course)] == ["07"]
