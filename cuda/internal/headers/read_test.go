package headers

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// source is what a binding says about C.
type source struct {
	constants []constantOf
	structs   []structOf
	symbols   []symbolOf
	calls     []callOf
	missing   []string // constants without a C name
}

type constantOf struct {
	pos     token.Position
	name, c string
	value   int64
}

type structOf struct {
	pos     token.Position
	name, c string
	size    int64
	fields  []fieldOf
}

type fieldOf struct {
	pos          token.Position
	name, c      string
	offset, size int64
}

type symbolOf struct {
	pos   token.Position
	field string // of the table of functions
	c     string
}

// callOf is a call of a C function with so many arguments.
type callOf struct {
	pos  token.Position
	c    string
	args int
}

// cName matches names of NVIDIA's headers.
var cName = regexp.MustCompile(`^(CU|CUDA|CUBLAS|CUBLASLT|CUDNN|NVRTC)_\w+|^CU[a-z]\w+|^(nccl|cublasLt)[A-Z]\w*`)

// structDoc matches the comment of a struct that C reads or writes: "Algo is cublasLtMatmulAlgo_t: …".
var structDoc = regexp.MustCompile(`^\w+ is (\w+)`)

// imports makes an empty package of everything that is imported: constants and structs that C sees use nothing of others.
type imports struct{}

func (imports) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

// read reads the binding in a folder below cuda/.
//
// A constant's C name is the first word of the comment on its line. Exported constants must have one, or say "not in" and
// where not. named holds the names for files that do not have them in comments.
func read(t *testing.T, folder string, named map[string]string) source {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	names, _ := filepath.Glob(filepath.Join("../..", folder, "*.go"))
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The position is what gcc says in its messages.
		f, err := parser.ParseFile(fset, filepath.ToSlash(filepath.Join("cuda", folder, filepath.Base(name))), text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files in cuda/%s", folder)
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: imports{}, Error: func(error) {}, Sizes: types.SizesFor("gc", "amd64")}
	config.Check(folder, fset, files, info) // with errors, since what is imported is empty

	var s source
	table := map[string]string{} // field of a table of functions: C function
	for _, f := range files {
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					if gen.Tok == token.CONST {
						s.addConstants(fset, spec, info, named)
					}
				case *ast.TypeSpec:
					doc := spec.Doc.Text()
					if doc == "" {
						doc = gen.Doc.Text()
					}
					s.addStruct(t, fset, spec, doc, info, config.Sizes, named)
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && field.Tag != nil && len(field.Names) == 1 {
				if tag, ok := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Lookup("sym"); ok {
					symbol, _, _ := strings.Cut(tag, ",")
					s.symbols = append(s.symbols, symbolOf{fset.Position(field.Pos()), field.Names[0].Name, symbol})
					if other, ok := table[field.Names[0].Name]; ok {
						t.Errorf("%v: the field of %s has the name of that of %s, so that calls cannot be told", fset.Position(field.Pos()), symbol, other)
					}
					table[field.Names[0].Name] = symbol
				}
			}
			return true
		})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				s.addCall(fset, call, table)
			}
			return true
		})
	}
	return s
}

func (s *source) addConstants(fset *token.FileSet, spec *ast.ValueSpec, info *types.Info, named map[string]string) {
	comment := strings.TrimSpace(spec.Comment.Text())
	listed := strings.Split(comment, ", ") // one for each, where several constants stand on a line
	for i, ident := range spec.Names {
		object, ok := info.Defs[ident].(*types.Const)
		if !ok || object.Val().Kind() != constant.Int {
			continue
		}
		c := named[ident.Name]
		if c == "" && i < len(listed) {
			c = cName.FindString(listed[i])
		}
		value, exact := constant.Int64Val(object.Val())
		switch {
		case c == "-" || strings.HasPrefix(comment, "not in"):
		case c != "" && exact:
			s.constants = append(s.constants, constantOf{fset.Position(ident.Pos()), ident.Name, c, value})
		case ident.IsExported() || cName.MatchString(comment):
			s.missing = append(s.missing, fmt.Sprintf("%v: %s has no C name in a comment on its line", fset.Position(ident.Pos()), ident.Name))
		}
	}
}

func (s *source) addStruct(t *testing.T, fset *token.FileSet, spec *ast.TypeSpec, doc string, info *types.Info, sizes types.Sizes, named map[string]string) {
	node, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	c := named[spec.Name.Name]
	if m := structDoc.FindStringSubmatch(doc); c == "" && m != nil && cName.MatchString(m[1]) {
		c = m[1]
	}
	if c == "" {
		return
	}
	layout := info.Defs[spec.Name].Type().Underlying().(*types.Struct)
	fields := make([]*types.Var, layout.NumFields())
	for i := range fields {
		fields[i] = layout.Field(i)
		if b, ok := fields[i].Type().(*types.Basic); ok && b.Kind() == types.Invalid {
			t.Errorf("%v: the field's type is of another package", fset.Position(fields[i].Pos()))
		}
	}
	offsets := sizes.Offsetsof(fields)
	of := structOf{pos: fset.Position(spec.Pos()), name: spec.Name.Name, c: c, size: sizes.Sizeof(layout)}
	i := 0
	for _, field := range node.Fields.List {
		comment := strings.Fields(field.Comment.Text())
		for range max(len(field.Names), 1) {
			name := ""
			if list := strings.Fields(named[spec.Name.Name+"."]); len(list) > i {
				name = list[i]
			} else if len(comment) > 0 {
				name = strings.TrimSuffix(comment[0], ":")
			}
			if name == "" {
				t.Errorf("%v: a field of %s without a C name in a comment on its line", fset.Position(field.Pos()), c)
			} else {
				of.fields = append(of.fields, fieldOf{fset.Position(field.Pos()), fields[i].Name(), name, offsets[i], sizes.Sizeof(fields[i].Type())})
			}
			i++
		}
	}
	s.structs = append(s.structs, of)
}

// addCall finds calls like do(&l.api.destroy, …) and dl.Call(l.api.destroy.Addr, …).
func (s *source) addCall(fset *token.FileSet, call *ast.CallExpr, table map[string]string) {
	var name string
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	}
	floats := name == "doFloat" || name == "CallFloat"
	if !floats && name != "do" && name != "Call" && name != "CallString" || len(call.Args) == 0 || call.Ellipsis.IsValid() {
		return
	}
	fn := call.Args[0]
	if address, ok := fn.(*ast.UnaryExpr); ok {
		fn = address.X
	}
	field, ok := fn.(*ast.SelectorExpr)
	if ok && field.Sel.Name == "Addr" {
		field, ok = field.X.(*ast.SelectorExpr)
	}
	if !ok || table[field.Sel.Name] == "" {
		return
	}
	n := len(call.Args) - 1
	if floats {
		list, ok := call.Args[1].(*ast.CompositeLit)
		if !ok {
			return
		}
		n += len(list.Elts) - 1
	}
	s.calls = append(s.calls, callOf{fset.Position(call.Pos()), table[field.Sel.Name], n})
}
