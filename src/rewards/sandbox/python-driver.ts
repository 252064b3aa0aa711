/**
 * What Python runs first. File 3 gives the length of a first part, that part ({before, code, main}), and then the rest ({test, mark}), which
 * is read after the code has run; file 4 hears how it went: the mark where the test passed.
 */
export const pythonDriver = `
import json, linecache, os, sys, traceback, types

def say(word):
    os.write(4, word.encode() + b"\\n")

def take(most):
    data = b""
    while len(data) < most:
        piece = os.read(3, min(65536, most - len(data)))
        if not piece:
            break
        data += piece
    return data

def run(name, text, space):
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), space)

def drive():
    job = json.loads(take(int(take(10))))
    name = "__main__" if job["main"] else "response"
    module = types.ModuleType(name)
    sys.modules[name] = module
    sys.argv = ["response.py"]
    space = module.__dict__
    sys.setrecursionlimit(10000)
    try:
        run("before.py", job["before"], space)
        run("response.py", job["code"], space)
        if job["main"]:
            return
        rest = json.loads(take(1 << 30))
        run("test.py", rest["test"], space)
        say(rest["mark"])
        sys.stdout.flush()
        os._exit(0)
    except AssertionError:
        say("wrong")
        raise
    except MemoryError:
        say("memory")
        raise
    except SystemExit:
        if job["main"]:
            raise
        say("exception")
        raise

drive()
`;
